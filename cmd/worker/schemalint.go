package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/schema/folder"
	"github.com/onceish/onceish/worker/config"
)

// lintSchemas checks the folder of schemas that a file names, if it checks events. Those on a
// server are checked by worker schema check.
func lintSchemas(ctx context.Context, name string, c *config.Config) (found config.Problems) {
	report := func(path, message string) {
		found = append(found, config.Problem{File: name, Path: path, Message: message})
	}
	checks := slices.ContainsFunc(c.Subscriptions, func(s config.Subscription) bool { return s.Schema != nil })
	if !checks || c.Schemas == config.SchemasInNATS {
		return nil
	}
	s, err := folder.New(c.Schemas, nil)
	if err != nil {
		report("schemas", err.Error())
		return found
	}
	subjects, err := s.Subjects(ctx)
	if err != nil {
		report("schemas", err.Error())
		return found
	}
	for _, subject := range subjects {
		for _, err := range eachError(schema.CheckSubject(ctx, s, subject)) {
			report("schemas", err.Error())
		}
	}
	for i := range c.Subscriptions {
		sub := &c.Subscriptions[i]
		has := slices.ContainsFunc(subjects, func(s schema.Subject) bool { return bus.Match(sub.Topic, s.Topic) })
		if sub.Schema != nil && sub.Schema.Events == config.SchemaAll && !has {
			report(fmt.Sprintf("subscriptions[%d].schema", i), fmt.Sprintf("no event of %q has a schema, so all would be dead-lettered: add one with worker schema add, or write schema: %s", sub.Topic, config.SchemaRegistered))
		}
	}
	return found
}

// eachError are the errors that are joined in one.
func eachError(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.DeleteFunc(joined.Unwrap(), func(err error) bool { return err == nil })
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
