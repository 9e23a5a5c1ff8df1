package config_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
	"github.com/onceish/onceish/worker/config"
)

const boxed = "group: g\nmongo: {uri: 'mongodb://h'}\noutbox: "

func TestOutboxKeys(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]config.Outbox{
		boxed: {Collection: "outbox", Attempts: 10, Backoff: config.Backoff{Base: time.Second, Max: 5 * time.Minute}, Lease: 10 * time.Second, Retention: 72 * time.Hour},
		boxed + "{collection: a.b, attempts: 3, backoff: {base: 10m}, after_dead: continue, lease: 1s, retention: 1h}": {
			Collection: "a.b", Attempts: 3, Backoff: config.Backoff{Base: 10 * time.Minute, Max: 10 * time.Minute}, AfterDead: outbox.GoOn, Lease: time.Second,
			Retention: time.Hour,
		},
	} {
		c := parseConfig(t, file, nil)
		if c.Outbox == nil || *c.Outbox != want || len(c.Subscriptions) > 0 {
			t.Errorf("%s\n%+v", file, c.Outbox)
		}
		o := c.Outbox.Options()
		if o.Lease != want.Lease || o.MaxAttempts != want.Attempts || o.AfterDead != want.AfterDead || o.Backoff != (outbox.Backoff{Base: want.Backoff.Base, Max: want.Backoff.Max}) {
			t.Errorf("%s\n%+v", file, o)
		}
	}
	if c := parseConfig(t, smallest, nil); c.Outbox != nil {
		t.Errorf("%+v, want none", c.Outbox)
	}
	if c := parseConfig(t, boxed+"{}\nsubscriptions: [{topic: a, handler: {publish: {topic: b, outbox: true}}}]\n", nil); !c.Subscriptions[0].Handler.Publish.Outbox {
		t.Error("the handler does not publish by way of the outbox")
	}
}

// The bounds and the defaults of the file are those of the drainer.
func TestOutboxBoundsAreTheDrainers(t *testing.T) {
	t.Parallel()
	accepts := func(o *outbox.Options) bool {
		b, err := membus.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		q, err := memoutbox.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		o.Logger = slog.New(slog.DiscardHandler)
		_, err = outbox.NewDrainer(q, bus.Publisher(b), o)
		return err == nil
	}
	for _, keys := range []string{
		"attempts: 0", "attempts: 1", "attempts: 1000000", "attempts: 1000001", "lease: 99ms", "lease: 100ms", "lease: 1d", "lease: 25h",
		"backoff: {base: 500us}", "backoff: {base: 1ms}", "backoff: {base: 1d}", "backoff: {base: 25h}", "backoff: {max: 30d}", "backoff: {max: 31d}",
	} {
		var o outbox.Options
		c, _ := config.Parse("w", []byte(boxed+"{"+keys+"}"), env(nil))
		if c != nil {
			o = *c.Outbox.Options()
		}
		if c != nil && !accepts(&o) {
			t.Errorf("%s: the file is accepted, and the drainer refuses it", keys)
		}
		if c == nil && accepts(raw(keys)) {
			t.Errorf("%s: the drainer accepts it, and the file is refused", keys)
		}
	}
}

// raw are options as the keys say that the file refuses.
func raw(keys string) *outbox.Options {
	return map[string]*outbox.Options{
		"attempts: 0": {MaxAttempts: -1}, "attempts: 1000001": {MaxAttempts: 1_000_001}, "lease: 99ms": {Lease: 99 * time.Millisecond},
		"lease: 25h": {Lease: 25 * time.Hour}, "backoff: {base: 500us}": {Backoff: outbox.Backoff{Base: 500 * time.Microsecond}},
		"backoff: {base: 25h}": {Backoff: outbox.Backoff{Base: 25 * time.Hour}}, "backoff: {max: 31d}": {Backoff: outbox.Backoff{Max: 31 * 24 * time.Hour}},
	}[keys]
}

// A collection's name is the database's to refuse, but for what would be found out late.
func TestOutboxCollections(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"outbox": true, "a.b": true, "ü": true, "''": false, "a$b": false, "system.x": false, ".a": false, "a.": false, "dedupe": false, strings.Repeat("x", 101): false,
	} {
		if c, _ := config.Parse("w", []byte(boxed+"{collection: "+name+"}"), env(nil)); (c != nil) != ok {
			t.Errorf("%.20q: accepted: %v, want %v", name, c != nil, ok)
		}
	}
}

func TestOutboxFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c, problems := config.Parse("w", []byte("group: g\noutbox: {collection: '${BOX:x}'}"), env(map[string]string{"MONGODB_URI": "mongodb://h"}))
	if len(problems) > 0 || c.Outbox.Collection != "x" {
		t.Errorf("%v", problems)
	}
}
