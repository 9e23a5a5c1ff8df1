package config_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

func TestSchemas(t *testing.T) {
	t.Parallel()
	c := parseConfig(t, strings.Replace(smallest, "handler:", "schema: all\n    handler:", 1)+"schemas: ./schemas\n", nil)
	if s := c.Subscriptions[0].Schema; c.Schemas != "./schemas" || s == nil || *s != (config.EventSchema{Events: config.SchemaAll, Away: "retry"}) {
		t.Errorf("%q, %+v", c.Schemas, s)
	}
	c = parseConfig(t, smallest, nil)
	if c.Schemas != config.SchemasInNATS || c.Subscriptions[0].Schema != nil {
		t.Errorf("%+v", c)
	}
	for file, want := range map[string]string{
		smallest + "schemas: https://example.com\n": `5:10: schemas: "https://example.com" is not nats, or a folder such as ./schemas`,
		smallest + "schemas: ./schemas\n":           "warning: schemas: it has no effect: no subscription has schema",
		smallest + "    schema: some\n":             `subscriptions[0].schema`,
		smallest + "    schema: {away: pass}\n":     "events",
	} {
		problems := lint("w.yaml", []byte(file), env(nil))
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%s: %v; want %q", file, problems, want)
		}
	}
}
