package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// deferred is a file with one subscription that defers events, by these keys.
func deferred(keys, more string) string {
	return "group: g\nnats: {url: 'nats://h'}\nsubscriptions:\n- {topic: t, handler: {exec: cat}, defer: {" + keys + "}" + more + "}\n"
}

func TestDeferralIsConfigured(t *testing.T) {
	t.Parallel()
	fixed := func(limit int, per time.Duration) flow.Rate {
		return flow.Rate{Limit: limit, Per: per, Strategy: flow.FixedWindow}
	}
	for keys, want := range map[string]deferral.Config{
		"limit: 5":          {Rate: fixed(5, time.Minute), Interval: 30 * time.Second, MaxKeys: 100_000},
		"limit: 5/s":        {Rate: fixed(5, time.Second), Interval: 30 * time.Second, MaxKeys: 100_000},
		"limit: 5, per: 2h": {Rate: fixed(5, 2*time.Hour), Interval: 30 * time.Second, MaxKeys: 100_000},
		"limit: 1, strategy: sliding-log, interval: 5m, max_keys: 7, overflow: dead-letter": {
			Rate: flow.Rate{Limit: 1, Per: time.Minute, Strategy: flow.SlidingLog}, Interval: 5 * time.Minute, MaxKeys: 7, Overflow: deferral.DeadLetter,
		},
	} {
		d := parseConfig(t, deferred(keys, ""), nil).Subscriptions[0].Defer
		if got := d.Config(); got != want {
			t.Errorf("%s: %+v, want %+v", keys, got, want)
		}
		if d.Topic != "deferred.g" || d.MaxItems != deferral.DefaultMaxItems || d.Attempts != deferral.DefaultAttempts {
			t.Errorf("%s: %+v, want the defaults of topic, items and attempts", keys, d)
		}
	}
	if d := parseConfig(t, batched("handler: {exec: cat}"), nil).Subscriptions[0].Defer; d != nil {
		t.Errorf("a subscription without defer has %+v", d)
	}
}

func TestWhatIsDeferredTogetherIsConfigured(t *testing.T) {
	t.Parallel()
	e := bus.Event{Topic: "disk.full", Key: "db-1", Type: "alert", Headers: bus.Headers{}}
	e.Headers.Set("Host", "h7")
	for by, want := range map[string]string{"": "db-1", ", by: key": "db-1", ", by: topic": "disk.full", ", by: type": "alert", ", by: 'header:Host'": "h7"} {
		d := parseConfig(t, deferred("limit: 5"+by, ""), nil).Subscriptions[0].Defer
		if got := d.KeyFunc()(e); got != want {
			t.Errorf("%q: events are deferred by %q, want %q", by, got, want)
		}
	}
}

func TestDeferralsThatCannotWorkAreMistakes(t *testing.T) {
	t.Parallel()
	const another = "}\n- {topic: u, handler: {exec: cat}, defer: {limit: 1"
	for _, c := range []struct{ keys, more, want string }{
		{"per: 1m", "", "limit"},
		{"limit: 0", "", "limit"},
		{"limit: 5/m, per: 1m", "", "the limit has a unit already: write it without one, or remove per"},
		{"limit: 5", ", mode: seen-mark", "it needs mode claimed"},
		{"limit: 5, interval: 2d", ", ttl: 7d", "it must be at most a quarter of"},
		{"limit: 5, interval: 99ms", "", "interval"},
		{"limit: 5, max_keys: 0", "", "max_keys"},
		{"limit: 5, overflow: drop", "", "overflow"},
		{"limit: 5, attempts: 1", "", "attempts"},
		{"limit: 5, max_items: 10001", "", "max_items"},
		{"limit: 5, by: host", "", "header:NAME"},
		{"limit: 5, topic: t", "", "subscriptions[0] receives the deferred events themselves"},
		{"limit: 5", "}\n- {topic: deferred.g, handler: {exec: cat}", "subscriptions[1] receives the deferred events themselves"},
		{"limit: 5", another + "}", "subscriptions[0] keeps its deferred events on"},
		{"limit: 5, handler: {exec: cat, log: {}}", "", "there are 2 handlers: keep one of"},
		{"limit: 5, handler: {http: {url: 'http://h', per_host: {concurrency: 4}}}", "", "it has no effect on summaries: remove it"},
		{"limit: 5, windows: 1", "", `there is no key "windows"`},
	} {
		if problems := lint("w", []byte(deferred(c.keys, c.more)), env(nil)); !strings.Contains(problems.Error(), c.want) {
			t.Errorf("%s%s\n%v, want %s", c.keys, c.more, problems, c.want)
		}
	}
	if problems := lint("w", []byte(deferred("limit: 5", another+", topic: later}")), env(nil)); len(problems) > 0 {
		t.Errorf("two subscriptions that defer to topics of their own: %v", problems)
	}
}
