package config_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/config"
)

// optionsOf are what a file says of its only subscription.
func optionsOf(t *testing.T, file string) *consumer.Options {
	t.Helper()
	c, problems := config.Parse("worker.yaml", []byte(file), env(nil))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	o, err := c.Subscriptions[0].Options()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// An event is known by the member of its payload that the file names, whatever id it was published
// under. An event without that member has no identity, and is not taken for another one.
func TestIdentityComesFromThePayload(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, with("id: order.id"))
	if o.IDSource != "the member order.id of the payload" {
		t.Errorf("dead letters say that %q is missing", o.IDSource)
	}
	for data, want := range map[string]string{
		`{"order":{"id":"a"}}`: "a", "{ \n\"order\" : {\"x\":[{\"id\":1}],\"id\":12345678901234567890}}": "12345678901234567890",
		`{"order.id":"a"}`: "", `{"order":{"id":null}}`: "", `{"order":{"id":""}}`: "", `{"order":{"id":{}}}`: "", `{"order":"id"}`: "", `[]`: "", "": "", `{"order":{"id":"a"}`: "",
	} {
		if got := o.ID(bus.Event{ID: "its own", Data: []byte(data)}); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
	if o := optionsOf(t, smallest); o.ID != nil {
		t.Error("without a path the identity is not the event's own")
	}
}

func TestFingerprintIsTheOneThatTheFileNames(t *testing.T) {
	t.Parallel()
	one, other := bus.Event{Data: []byte(`{"a":1,"b":2}`)}, bus.Event{Data: []byte(`{"b":2, "a":1}`)}
	for line, want := range map[string]struct{ same, none bool }{"fingerprint: bytes": {}, "fingerprint: json": {same: true}, "fingerprint: none": {same: true, none: true}} {
		f := optionsOf(t, with(line)).Fingerprint
		if got := bytes.Equal(f(one), f(other)); got != want.same || (len(f(one)) == 0) != want.none {
			t.Errorf("%s: %t, %x", line, got, f(one))
		}
	}
}

// Mode transactional has a shorter run limit by default: the server ends a transaction that
// takes longer.
func TestTransactionalModeFitsTheServersTransactions(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, handled("{publish: {topic: b, outbox: true}}")+"    mode: transactional\noutbox: {}\nmongo: {uri: mongodb://h}\n")
	if o.Mode != consumer.Transactional || o.RunLimit != 30*time.Second {
		t.Errorf("mode %d, run limit %v", o.Mode, o.RunLimit)
	}
	if _, err := o.WithDefaults("billing"); err != nil {
		t.Error(err)
	}
}

// Each of what a file names has a limit of its own: what it says of the event is the key.
func TestLimitIsForWhatTheFileNames(t *testing.T) {
	t.Parallel()
	e := bus.Event{Topic: "order.placed", Key: "k", Type: "t", Headers: bus.Headers{"X-Tenant": {"one", "two"}}}
	for by, want := range map[string]struct{ full, empty string }{"key": {"k", ""}, "type": {"t", "order.placed"}, "header:X-Tenant": {"one", ""}, "header:x-tenant": {"one", ""}} {
		o := optionsOf(t, with("rate: {limit: 5, per: 1h, by: '"+by+"', queue: 3, max_wait: 2s}"))
		if got := o.LimitKey(e); got != want.full {
			t.Errorf("%s: %q, want %q", by, got, want.full)
		}
		if got := o.LimitKey(bus.Event{Topic: "order.placed"}); got != want.empty {
			t.Errorf("%s, of an event without it: %q, want %q", by, got, want.empty)
		}
		if o.Limit == nil || o.LimitQueue != 3 || o.LimitWait != 2*time.Second {
			t.Errorf("%s: %+v", by, o)
		}
	}
	if o := optionsOf(t, with("rate: 5/h")); o.LimitKey != nil || o.LimitQueue != 0 || o.LimitWait != 0 {
		t.Errorf("%+v", o)
	}
}

// The file's rate is the limiter's, and keys beyond its bound share one.
func TestLimiterHasTheRateOfTheFile(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, with("rate: {limit: 2, per: 1h, strategy: sliding-log, by: key, max_keys: 1}"))
	var allowed []bool
	for _, key := range []string{"a", "a", "a", "b", "b", "c"} {
		d, err := o.Limit.Allow(t.Context(), key, 1)
		if err != nil {
			t.Fatal(err)
		}
		allowed = append(allowed, d.Allowed)
	}
	if want := []bool{true, true, false, true, true, false}; !slices.Equal(allowed, want) {
		t.Errorf("%v, want %v", allowed, want)
	}
}

// A shared limit needs a store, which whoever connects has: there is no local one in its place.
func TestSharedLimitIsLeftToTheWorker(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, with("rate: {limit: 5/h, by: key, shared: true, queue: 3}", "concurrency: auto:2-8"))
	if o.Limit != nil || o.LimitKey == nil || o.LimitQueue != 3 || o.Concurrency != 8 || o.MaxUnmarked != 8 || len(o.Gates) > 0 {
		t.Errorf("%+v", o)
	}
}
