package bustest

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

func control() []promise {
	return []promise{
		{name: "control headers of a received event published again do no harm", keeps: dropsForeignControl},
		{name: "headers between a bus and its server are refused", keeps: refusesServerHeaders},
		{name: "all of a received event can be published again", keeps: publishesAgain},
		{name: "headers at the limit travel, above it they are refused", keeps: boundsHeaders},
	}
}

// dropsForeignControl copies the headers of redriven copies and of letters, as a careless handler
// would.
func dropsForeignControl(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	for _, c := range []bus.Control{{Letter: "g/s/1"}, {Redriven: "g/s/1", Group: "g"}, {Group: "g"}, {Copy: "1"}} {
		first := event("first " + c.Letter + c.Redriven + c.Group + c.Copy)
		first.Headers = bus.Headers{"Kept": {"1"}}
		first = first.WithControl(c)
		f.publish(t, first)
		got := f.fetch(t, src, 1)[0].Event
		if had, err := got.Control(); err != nil || had != c {
			t.Errorf("an event with control %+v arrives with %+v, %v", c, had, err)
		}
		other := event("other " + c.Letter + c.Redriven + c.Group + c.Copy)
		moved := got
		moved.Topic = "orders.changed"
		changed := got
		changed.Data = []byte("changed")
		copies := []bus.Event{other, moved, changed}
		for i := range copies {
			copies[i].Headers = got.Headers
		}
		f.publish(t, copies...) // none is swallowed for the letter's sake
		for i, d := range f.fetch(t, src, len(copies)) {
			want := copies[i]
			want.Headers = bus.Headers{"Kept": {"1"}}
			if err := differ(d.Event, want); err != nil {
				t.Errorf("copy %d of headers with %+v: %v", i, c, err)
			}
		}
		if receipts, err := f.bus.Publish(t.Context(), got); err != nil || !receipts[0].Duplicate {
			t.Errorf("the same event with its control headers %+v again: %+v, %v; want a duplicate", c, receipts, err)
		}
	}
}

func refusesServerHeaders(t *testing.T, f *fixture) {
	for _, name := range []string{
		"Nats-Msg-Id", "nats-msg-id", "Nats-TTL", "Nats-Rollup", "Nats-Expected-Stream", "Nats-Expected-Last-Sequence", "Nats-Schedule",
		"Nats-Schedule-Target", "Nats-Batch-Id", "Nats-Batch-Commit", "Nats-Incr", "Nats-Trace-Dest", "Nats-Marker-Reason",
	} {
		e := event(name)
		e.Headers = bus.Headers{name: {"1"}}
		if err := refuses(t, f, name, e, bus.ErrInvalidEvent); !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name the header %q", err, name)
		}
	}
}

func publishesAgain(t *testing.T, f *fixture) {
	e := event("1")
	e.Key, e.Type, e.Source, e.ContentType = "k", "t", "/s", "text/plain"
	e.Headers = bus.Headers{"Traceparent": {"00-1"}, "Many": {"1", "2"}, "Nats-Stream": {"S"}, "Status": {"503"}, "Description": {"none"}}
	f.publish(t, e)
	src := f.subscribe(t, "g", nil)
	got := f.fetch(t, src, 1)[0].Event
	want := got
	want.ID = "2"
	f.publish(t, want)
	if err := differ(f.fetch(t, src, 1)[0].Event, want); err != nil {
		t.Error(err)
	}
}

// boundsHeaders: what Topic tells is the limit, but for what the bus adds.
func boundsHeaders(t *testing.T, f *fixture) {
	limit := f.topic(t, "orders.new", "g", bus.Start{}).MaxHeaderBytes
	if limit == 0 {
		return // this bus takes any headers
	}
	const room = 1024
	long, many, over := event("long"), event("many"), event("over")
	long.Headers = bus.Headers{"Long": {strings.Repeat("x", limit-room)}}
	many.Headers = bus.Headers{"Many": make([]string, (limit-room)/len("Many: \r\n"))}
	over.Headers = bus.Headers{"Long": {strings.Repeat("x", limit)}}
	f.travels(t, long, many)
	_ = refuses(t, f, "over", over, bus.ErrTooLarge)
}
