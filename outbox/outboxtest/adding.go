package outboxtest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

func adding() []promise {
	return []promise{
		{name: "Add/control headers of a received event do no harm", keeps: dropsForeignControl},
		{name: "Add/headers between a bus and its server are refused", keeps: refusesServerHeaders},
		{name: "Add/headers at the limit of a bus come back", keeps: keepsLargeHeaders},
		{name: "Add/one id on two topics, or of two sources, is two events", keeps: tellsTopicsApart},
		{name: "Add/a second copy is left out whatever its time and trace", keeps: leavesCopiesOut},
		{name: "Add/values that share an array stay as the caller has them", keeps: sharesArrays},
	}
}

// dropsForeignControl adds events with the headers of redriven copies and of letters, as a careless
// handler would.
func dropsForeignControl(t *testing.T, k *kit) {
	for _, c := range []bus.Control{{Letter: "g/s/1"}, {Redriven: "g/s/1", Group: "g"}, {Group: "g"}, {Copy: "1"}} {
		received := bus.Event{ID: c.Letter + c.Redriven + c.Group + c.Copy, Topic: "t", Data: []byte("x"), Headers: bus.Headers{"Kept": {"1"}}}
		received = received.WithControl(c)
		other := bus.Event{ID: "other " + received.ID, Topic: "t", Headers: received.Headers}
		k.add(t, outbox.Row{Event: received}, outbox.Row{Event: other})
		if got := k.read(t, received.ID).Event.Headers; !reflect.DeepEqual(got, received.Headers) {
			t.Errorf("added with headers %v, read with %v", received.Headers, got)
		}
		if got := k.read(t, other.ID).Event.Headers; !maps.EqualFunc(got, bus.Headers{"Kept": {"1"}}, func(a, b []string) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("control headers %+v of another event were kept: %v", c, got)
		}
	}
}

func refusesServerHeaders(t *testing.T, k *kit) {
	if k.s.Refused == nil {
		return
	}
	for _, name := range []string{"Nats-Msg-Id", "nats-TTL", "Nats-Expected-Last-Sequence", "Nats-Rollup", "Nats-Schedule", "Nats-Batch-Id"} {
		bad := row("", "bad")
		bad.Event.Headers = bus.Headers{name: {"1"}}
		err := k.s.Refused(t, row("", "good"), bad)
		if !errors.Is(err, bus.ErrInvalidEvent) || !strings.Contains(err.Error(), name) {
			t.Errorf("an event with header %s: %v; want ErrInvalidEvent that names it", name, err)
		}
	}
	equal(t, "pending", k.pending(t), nil)
}

func keepsLargeHeaders(t *testing.T, k *kit) {
	const limit = 60 << 10
	e := bus.Event{ID: "1", Topic: "t", Headers: bus.Headers{"Long": {strings.Repeat("x", limit)}, "Many": make([]string, limit/8)}}
	k.add(t, outbox.Row{Event: e})
	if got := k.read(t, "1").Event.Headers; !reflect.DeepEqual(got, e.Headers) {
		t.Errorf("headers of %d names came back with %d", len(e.Headers), len(got))
	}
}

// sharesArrays adds headers as strings.Split makes them: the room behind one's values is another's.
func sharesArrays(t *testing.T, k *kit) {
	for i := range 20 { // maps have no order
		parts := []string{"7", "eu"}
		want := bus.Headers{"Version": {"7"}, "Region": {"eu"}}
		e := bus.Event{ID: fmt.Sprint(i), Topic: "t", Headers: bus.Headers{"Version": parts[:1], "Region": parts[1:]}}
		k.add(t, outbox.Row{Event: e})
		if got := k.read(t, e.ID).Event.Headers; !reflect.DeepEqual(got, want) || !reflect.DeepEqual(e.Headers, want) {
			t.Fatalf("read with %v, and the caller's own are %v; want %v", got, e.Headers, want)
		}
	}
}

// tellsTopicsApart has rows of one id that are told apart all the way: where they are added, read,
// settled and looked after.
func tellsTopicsApart(t *testing.T, k *kit) {
	events := []bus.Event{{ID: "17 %", Topic: "a"}, {ID: "17 %", Topic: "b"}, {ID: "17 %", Topic: "a", Source: "shop"}, {ID: "17", Topic: "a"}}
	for _, e := range events {
		k.add(t, outbox.Row{Event: e})
		if e.Source == "" {
			e.Source = bus.DefaultSource
			k.add(t, outbox.Row{Event: e}) // that is what none means
		}
	}
	leases := k.acquire(t, "a", long)
	rows := k.walk(t, outbox.Ask{})
	if len(rows) != len(events) {
		t.Fatalf("%d rows of %d events", len(rows), len(events))
	}
	for i, r := range rows {
		equal(t, "settled", k.settle(t, result(t, leases, r, outbox.Confirmed)), []bool{true})
		if left := k.pending(t); len(left) != len(rows)-i-1 {
			t.Fatalf("%d rows are pending after %d were sent", len(left), i+1)
		}
	}
	if k.admin == nil {
		return
	}
	for n, f := range map[int]outbox.Filter{3: {IDs: []string{"17 %"}}, 2: {IDs: []string{"17 %"}, Topic: "a"}, 1: {IDs: []string{"17"}}, 4: {IDs: []string{"17", "17 %"}}} {
		if found := k.list(t, f); len(found) != n {
			t.Errorf("%+v finds %d rows, want %d", f, len(found), n)
		}
	}
}

// leavesCopiesOut: what a bus and consumers take for one event is one here.
func leavesCopiesOut(t *testing.T, k *kit) {
	e := bus.Event{ID: "1", Topic: "t", Time: time.Unix(1, 0).UTC(), Data: []byte("x"), Headers: bus.Headers{"Traceparent": {"a"}}}
	again := e
	again.Time, again.Headers = time.Unix(2, 0).UTC(), bus.Headers{"Traceparent": {"b"}}
	k.add(t, outbox.Row{Event: e}, outbox.Row{Event: again})
	k.add(t, outbox.Row{Event: again})
	equal(t, "pending", k.pending(t), []string{"1"})
	if got := k.read(t, "1").Event.Headers; !reflect.DeepEqual(got, e.Headers) {
		t.Errorf("the first one's headers became %v", got)
	}
	if k.s.Refused == nil {
		return
	}
	again.Data = []byte("y")
	if err := k.s.Refused(t, outbox.Row{Event: again}); !errors.Is(err, outbox.ErrExists) {
		t.Errorf("another payload: %v; want ErrExists", err)
	}
}
