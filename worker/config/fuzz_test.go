package config_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

// What Parse takes the consumer takes; what it refuses has a place and a reason.
func FuzzParse(f *testing.F) {
	for file := range mistakes() {
		f.Add([]byte(file), "5")
	}
	for file := range flowMistakes() {
		f.Add([]byte(file), "5")
	}
	for file := range provisionMistakes() {
		f.Add([]byte(file), "1GiB")
	}
	for _, file := range good() {
		f.Add([]byte(file), "10s")
	}
	f.Fuzz(func(t *testing.T, file []byte, value string) {
		c, problems := config.Parse("w.yaml", file, func(name string) (string, bool) { return value, name != "ONCEISH_GROUP" && len(name) < 5 })
		for _, p := range problems {
			if p.Message == "" || len(p.String()) > 10_000 || strings.Contains(p.String(), "libyaml") || p.Line < 0 || p.Line > 0 && p.Column < 1 {
				t.Errorf("%q", p.String())
			}
			if c != nil && !p.Warning {
				t.Errorf("a Config in spite of %s", p)
			}
		}
		if c == nil {
			if len(problems) == 0 {
				t.Error("nothing, and no reason")
			}
			return
		}
		for i := range c.Subscriptions {
			o, err := c.Subscriptions[i].Options()
			if err != nil {
				t.Fatal(err)
			}
			o.Drain = c.Drain
			if o, err = o.WithDefaults(c.Group); err != nil {
				t.Fatalf("%+v: %v", c.Subscriptions[i], err)
			}
			if o.TTL < o.Horizon() {
				t.Errorf("TTL %v is below %v", o.TTL, o.Horizon())
			}
		}
	})
}
