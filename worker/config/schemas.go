package config

import (
	"fmt"
	"slices"
	"strings"
)

// SchemasInNATS is where schemas of events are unless Config.Schemas says otherwise.
const SchemasInNATS = "nats"

// EventSchema checks the events of a subscription before they are handled.
type EventSchema struct {
	// Events are those that must have a schema: SchemaRegistered or SchemaAll.
	Events string
	// Away is what becomes of events while their schemas are not known: "retry", "pass" or
	// "refuse".
	Away string
}

// Values of EventSchema.Events.
const (
	// SchemaRegistered lets events through whose topic and type have no schema.
	SchemaRegistered = "registered"
	// SchemaAll dead-letters them.
	SchemaAll = "all"
)

// schemasField is where schemas are.
func schemasField() *scalarField[Config, string] {
	const wants = "nats, or a folder such as ./schemas"
	return textField("schemas", wants, func(c *Config) *string { return &c.Schemas }, func(s string) error {
		if scheme, _, ok := strings.Cut(s, ":"); ok && !strings.Contains(scheme, "/") {
			return fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return nil
	}).withDefault(SchemasInNATS).withFlag("schemas", "STORE").fromEnv("ONCEISH_SCHEMAS").
		describedAs("where schemas of events are: nats for a key-value bucket of the NATS server, or a folder")
}

func schemaKeys() []field[EventSchema] {
	return []field[EventSchema]{
		enumField("events", func(s *EventSchema) *string { return &s.Events }, selfNamed(SchemaRegistered, SchemaAll)...).markRequired().
			describedAs("which events are checked, and dead-lettered if they violate their schema: those whose topic and type have one (registered), or all: then those without one are dead-lettered too"),
		enumField("away", func(s *EventSchema) *string { return &s.Away }, selfNamed("retry", "pass", "refuse")...).withDefault("retry").
			describedAs("what becomes of events whose schemas cannot be read and were not read before: they run later (retry), unchecked (pass), or are dead-lettered (refuse)"),
	}
}

// checkSchemas tells of schemas that nobody checks.
func (c *Config) checkSchemas(r *configReader) {
	checked := slices.ContainsFunc(c.Subscriptions, func(s Subscription) bool { return s.Schema != nil })
	if at := string(SectionSchemas); !checked && r.isGivenValid(at) && r.origins[at].label == "" {
		r.reportWarning(at, "it has no effect: no subscription has schema, which checks its events")
	}
}
