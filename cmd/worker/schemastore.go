package main

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/urfave/cli/v3"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/schema"
	"github.com/onceish/onceish/schema/folder"
	natsschema "github.com/onceish/onceish/schema/nats"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// Whether a store of schemas is made where there is none.
const (
	existing = false
	made     = true
)

// withSchemas calls f with the store of schemas that the flags name. For a folder nothing is
// connected to.
func withSchemas(ctx context.Context, cmd *cli.Command, stderr io.Writer, toMake bool, f func(schema.Store) error) error {
	c, err := config.FromFlags(cmd, schemaSections...)
	if err != nil {
		return err
	}
	if c.Schemas != config.SchemasInNATS {
		s, err := folder.New(c.Schemas, &folder.Options{Make: toMake})
		if err != nil {
			return err
		}
		return f(s)
	}
	if cmd.Bool("quiet") {
		c.Log.Level = "error"
	}
	log := newLogger(c, stderr)
	return withConnections(ctx, connectOptions(cmd, c, log), func(connections *worker.Connections) error {
		s, err := openSchemas(ctx, connections, c, toMake, log)
		if err != nil {
			return err
		}
		return f(s)
	})
}

// openSchemas opens the store of schemas that a configuration names.
func openSchemas(ctx context.Context, connections *worker.Connections, c *config.Config, toMake bool, log *slog.Logger) (schema.Store, error) {
	if c.Schemas != config.SchemasInNATS {
		s, err := folder.New(c.Schemas, nil)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	o := &natsschema.Options{BindOnly: !toMake, Logger: log}
	if c.NATS.URL != "" { // the worker's own server has no domain and no others to replicate to
		o.Domain, o.APIPrefix, o.Replicas = c.NATS.Domain, c.NATS.APIPrefix, c.NATS.Replicas
	}
	s, err := natsschema.New(ctx, connections.NATS(), o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newRegistry opens the store of schemas, and knows what it has.
func newRegistry(ctx context.Context, connections *worker.Connections, c *config.Config, log *slog.Logger) (*schema.Registry, error) {
	s, err := openSchemas(ctx, connections, c, made, log)
	if err != nil {
		return nil, err
	}
	return schema.NewRegistry(s, &schema.RegistryOptions{Logger: log})
}

// publishSections are what publishing takes of a worker's configuration.
var publishSections = append([]config.Section{config.SectionSchemas}, dlqSections...)

// checkedPublisher refuses invalid events, if schemas are asked for.
func checkedPublisher(ctx context.Context, cmd *cli.Command, connections *worker.Connections, c *config.Config, log *slog.Logger, to bus.Publisher) (bus.Publisher, error) {
	if !cmd.IsSet("schemas") {
		return to, nil
	}
	r, err := newRegistry(ctx, connections, c, log)
	if err != nil {
		return nil, err
	}
	return schema.NewPublisher(to, r, nil)
}

// openSchemas opens the store of schemas if a subscription checks events.
func (s *workerBuilder) openSchemas(ctx context.Context, c *config.Config) (err error) {
	if slices.ContainsFunc(c.Subscriptions, func(s config.Subscription) bool { return s.Schema != nil }) {
		s.schemas, err = newRegistry(ctx, s.worker.Connections(), c, s.worker.Logger())
	}
	return err
}

// checkEvents has a subscription check events as the file says.
func (s *workerBuilder) checkEvents(c *config.Subscription, o *consumer.Options) error {
	if c.Schema == nil {
		return nil
	}
	away := map[string]schema.Away{schema.Retry.String(): schema.Retry, schema.Pass.String(): schema.Pass, schema.Refuse.String(): schema.Refuse}
	check, err := schema.Middleware(s.schemas, &schema.MiddlewareOptions{Require: c.Schema.Events == config.SchemaAll, Away: away[c.Schema.Away]})
	if err != nil {
		return err
	}
	o.Use = append(o.Use, check)
	return nil
}
