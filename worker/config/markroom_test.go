package config_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

// TestRateThatFillsTheServerIsWarnedOf, with the numbers, where marks are kept in NATS.
func TestRateThatFillsTheServerIsWarnedOf(t *testing.T) {
	t.Parallel()
	const message = "subscriptions[0].rate: at this rate there are 302,400,000 marks within ttl 7d, and NATS needs about 310 GiB of memory for them: shorten ttl, or keep marks in MongoDB (mongo.uri)"
	env := func(name string) (string, bool) {
		if name == "RATE" {
			return "500/s", true
		}
		return "", false
	}
	for text, warned := range map[string]bool{
		with("rate: 500/s"):                                        true,
		with("rate: {limit: 500/s}"):                               true,
		with("rate: {limit: 1000, per: 2s}"):                       true,
		with("rate: 100/s"):                                        false,
		with("rate: 500/s", "ttl: 1d"):                             false,
		with("rate: {limit: 500/s, by: key}"):                      false, // of how many keys?
		with("rate: ${RATE}"):                                      false, // what a variable holds is not shown
		with("rate: 500/s") + "mongo: {uri: 'mongodb://h/shop'}\n": false,
	} {
		_, problems := config.Parse("worker.yaml", []byte(text), env)
		found := ""
		for _, p := range problems {
			found += p.String() + "\n"
		}
		if strings.Contains(found, message) != warned || warned != (len(problems) == 1 && problems[0].Warning) {
			t.Errorf("%s: warned %v, want %v: %s", text, !warned, warned, found)
		}
	}
}
