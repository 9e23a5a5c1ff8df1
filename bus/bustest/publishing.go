package bustest

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

func publishing() []promise {
	return []promise{
		{name: "Publish confirms events in order with increasing sequences", keeps: confirms},
		{name: "Publish of nothing is nothing", keeps: func(t *testing.T, f *fixture) {
			if receipts, err := f.bus.Publish(t.Context()); err != nil || len(receipts) != 0 {
				t.Fatalf("Publish() = %v, %v; want no receipts, no error", receipts, err)
			}
		}},
		{name: "what was published is the caller's again", keeps: letsGo},
		{name: "an invalid event is refused in its own receipt", keeps: refusesInvalid},
		{name: "an event that is too large is refused in its own receipt", keeps: refusesLarge},
		{name: "a topic without a stream is ErrNoStream, and named", keeps: refusesUnknown},
	}
}

func confirms(t *testing.T, f *fixture) {
	receipts := f.publish(t, events(5)...)
	receipts = append(receipts, f.publish(t, event("6"))...)
	ds := f.fetch(t, f.subscribe(t, "g", nil), 6)
	wantIDs(t, ds, "1", "2", "3", "4", "5", "6")
	for i, r := range receipts {
		if i > 0 && r.Sequence <= receipts[i-1].Sequence {
			t.Errorf("receipt %d has sequence %d after %d", i, r.Sequence, receipts[i-1].Sequence)
		}
		if at := ds[i].At; at.Sequence != r.Sequence || at.Stored.IsZero() || at.Stream == "" {
			t.Errorf("receipt %d has sequence %d, and the event lies at %+v", i, r.Sequence, at)
		}
		if i > 0 && ds[i].At.Stored.Before(ds[i-1].At.Stored) {
			t.Errorf("event %d was stored at %v, before its predecessor", i, ds[i].At.Stored)
		}
	}
	ack(t, ds...)
}

// letsGo changes events while they are on their way to the consumer, under the race detector also
// while confirmations may come.
func letsGo(t *testing.T, f *fixture) {
	made := func(i int) bus.Event {
		e := event(strconv.Itoa(i))
		e.Key, e.Headers = "k", bus.Headers{"Name": {"value"}}
		return e
	}
	const rounds, size = 20, 5
	es := make([]bus.Event, size)
	for i := range rounds {
		for j := range es {
			es[j] = made(i*size + j)
		}
		f.publish(t, es...)
		for j := range es {
			copy(es[j].Data, "changed!!!")
			es[j].Headers["Name"][0] = "changed"
			es[j].Headers["Other"] = []string{"changed"}
			es[j] = bus.Event{ID: "changed", Topic: "changed"}
		}
	}
	ds := f.fetch(t, f.subscribe(t, "g", nil), rounds*size)
	for i, d := range ds {
		if err := differ(d.Event, made(i)); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	ack(t, ds...)
}

// refuses publishes bad between two good events: only it is refused, with an error as wanted.
func refuses(t *testing.T, f *fixture, name string, bad bus.Event, want error) error {
	t.Helper()
	before, after := event("before "+name), event("after "+name)
	receipts, err := f.bus.Publish(t.Context(), before, bad, after)
	if len(receipts) != 3 {
		t.Fatalf("%s: %d receipts for 3 events, error %v", name, len(receipts), err)
	}
	if receipts[0].Err != nil || receipts[2].Err != nil {
		t.Fatalf("%s: the events beside it were refused: %v, %v", name, receipts[0].Err, receipts[2].Err)
	}
	if !errors.Is(receipts[1].Err, want) || !errors.Is(err, want) {
		t.Fatalf("%s: receipt %v, joined %v; want %v in both", name, receipts[1].Err, err, want)
	}
	ds := f.fetch(t, f.subscribe(t, "g", nil), 2)
	wantIDs(t, ds, before.ID, after.ID)
	ack(t, ds...)
	return receipts[1].Err
}

func refusesInvalid(t *testing.T, f *fixture) {
	for name, e := range map[string]bus.Event{
		"no id":           {Topic: "orders.new"},
		"no topic":        {ID: "1"},
		"wildcard":        {ID: "1", Topic: "orders.*"},
		"all":             {ID: "1", Topic: "orders.>"},
		"space":           {ID: "1", Topic: "orders.new one"},
		"empty token":     {ID: "1", Topic: "orders..new"},
		"line break":      {ID: "1", Topic: "orders.new\r\nPUB"},
		"trailing period": {ID: "1", Topic: "orders."},
	} {
		_ = refuses(t, f, name, e, bus.ErrInvalidEvent)
	}
}

func refusesLarge(t *testing.T, f *fixture) {
	info, err := f.bus.Topic(t.Context(), "orders.new", "g", bus.Start{})
	if err != nil {
		t.Fatalf("Topic: %v", err)
	}
	if info.MaxBytes == 0 {
		return // this bus takes everything
	}
	e := event("large")
	e.Data = make([]byte, info.MaxBytes+1)
	_ = refuses(t, f, "large data", e, bus.ErrTooLarge)
	e.Data = nil
	e.Headers = bus.Headers{"Large": {strings.Repeat("x", info.MaxBytes+1)}}
	_ = refuses(t, f, "large headers", e, bus.ErrTooLarge)
}

func refusesUnknown(t *testing.T, f *fixture) {
	const topic = "invoices.new"
	e := event("1")
	e.Topic = topic
	errs := map[string]error{"Publish": refuses(t, f, topic, e, bus.ErrNoStream)}
	_, errs["Topic"] = f.bus.Topic(t.Context(), topic, "g", bus.Start{})
	_, errs["Subscribe"] = f.bus.Subscribe(t.Context(), topic, "g", nil)
	for call, err := range errs {
		if !errors.Is(err, bus.ErrNoStream) || !strings.Contains(err.Error(), topic) {
			t.Errorf("%s: %v; want ErrNoStream that names %q", call, err, topic)
		}
	}
}
