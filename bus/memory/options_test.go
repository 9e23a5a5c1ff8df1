package memory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

func TestNewRefusesWhatCannotWorkAndNamesIt(t *testing.T) {
	t.Parallel()
	for want, streams := range map[string][]membus.Stream{
		`Stream.Name is empty`:                  {{Topics: []string{"a"}}},
		`Stream.Topics of "s" is empty`:         {{Name: "s"}},
		`Stream.Topics of "s": topic "a..b"`:    {{Name: "s", Topics: []string{"a..b"}}},
		`Stream.MaxAge of "s" is -1`:            {{Name: "s", Topics: []string{"a"}, MaxAge: -1}},
		`Stream.MaxEvents of "s" is -1`:         {{Name: "s", Topics: []string{"a"}, MaxEvents: -1}},
		`Stream.MaxBytes of "s" is -1`:          {{Name: "s", Topics: []string{"a"}, MaxBytes: -1}},
		`Stream.MaxUnsettled of "s" is -1`:      {{Name: "s", Topics: []string{"a"}, MaxUnsettled: -1}},
		`Stream.Name "s" is used twice`:         {{Name: "s", Topics: []string{"a"}}, {Name: "s", Topics: []string{"b"}}},
		`"a.*" of "t" and "a.>" of "s" overlap`: {{Name: "s", Topics: []string{"a.>"}}, {Name: "t", Topics: []string{"b", "a.*"}}},
	} {
		if _, err := membus.New(&membus.Options{Streams: streams}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v; want %q", err, want)
		}
	}
}

func TestSubscribeRefusesWhatCannotWorkAndNamesIt(t *testing.T) {
	t.Parallel()
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{
		{Name: "orders", Topics: []string{"orders.>"}},
		{Name: "jobs", Topics: []string{"jobs.>"}, WorkQueue: true},
	}})
	check(t, err)
	_, err = b.Subscribe(t.Context(), "jobs.a.*", "first", nil)
	check(t, err)
	for _, c := range []struct {
		want, topic, group string
		o                  bus.SubscribeOptions
	}{
		{"is empty: name it", "orders.>", "", bus.SubscribeOptions{}},
		{`topic "a..b"`, "a..b", "g", bus.SubscribeOptions{}},
		{`"invoices.new"`, "invoices.new", "g", bus.SubscribeOptions{}},
		{`"orders" and "jobs"`, ">", "g", bus.SubscribeOptions{}},
		{"AckWait is -1ns", "orders.>", "g", bus.SubscribeOptions{AckWait: -1}},
		{"set one of them", "orders.>", "g", bus.SubscribeOptions{From: bus.Start{Latest: true, Time: time.Now()}}},
		{"a work queue: leave From zero", "jobs.b", "g", bus.SubscribeOptions{From: bus.Start{Latest: true}}},
		{"overlaps with \"jobs.a.*\"", "jobs.*.b", "g", bus.SubscribeOptions{}},
	} {
		if _, err := b.Subscribe(t.Context(), c.topic, c.group, &c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Subscribe(%q, %q): %v; want %q", c.topic, c.group, err, c.want)
		}
	}
	for name, call := range map[string]func(stream string) error{
		"Delete":   func(s string) error { return b.Delete(s, 1) },
		"Purge":    func(s string) error { return b.Purge(s, ">") },
		"Recreate": b.Recreate,
		"Snapshot": func(s string) error { _, err := b.Snapshot(s); return err },
	} {
		if err := call("nowhere"); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
			t.Errorf("%s: %v; want an error that names the stream", name, err)
		}
	}
}

func TestTheDefaultStreamTakesEverything(t *testing.T) {
	t.Parallel()
	b, err := membus.New(nil)
	check(t, err)
	src, err := b.Subscribe(t.Context(), ">", "g", nil)
	check(t, err)
	_, err = b.Publish(t.Context(), bus.Event{ID: "1", Topic: "a"}, bus.Event{ID: "1", Topic: "b.c"})
	check(t, err)
	if ds, err := src.Fetch(t.Context(), 5); err != nil || len(ds) != 2 {
		t.Fatalf("Fetch: %d deliveries, %v; want 2", len(ds), err)
	}
}
