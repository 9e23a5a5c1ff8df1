package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// fixture is the bus of one case, with what the cases do to it.
type fixture struct {
	h   Harness
	bus bus.Bus
}

// event is one of topic "orders.new" with a payload of its own.
func event(id string) bus.Event {
	return bus.Event{ID: id, Topic: "orders.new", Data: []byte("payload of " + id)}
}

// events are n of them, named by their number, from 1.
func events(n int) []bus.Event {
	out := make([]bus.Event, n)
	for i := range out {
		out[i] = event(fmt.Sprint(i + 1))
	}
	return out
}

func ids(ds []*bus.Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = d.Event.ID
	}
	return out
}

// publish stores events, all of them new.
func (f *fixture) publish(t *testing.T, events ...bus.Event) []bus.Receipt {
	t.Helper()
	receipts, err := f.bus.Publish(t.Context(), events...)
	if err != nil {
		t.Fatalf("Publish: %v", err)
	}
	if len(receipts) != len(events) {
		t.Fatalf("Publish of %d events gave %d receipts", len(events), len(receipts))
	}
	for i, r := range receipts {
		if r.Duplicate {
			t.Fatalf("event %q is new, and was called a duplicate of sequence %d", events[i].ID, r.Sequence)
		}
	}
	return receipts
}

// subscribe opens a source of "orders.>" that is closed with the case.
func (f *fixture) subscribe(t *testing.T, group string, o *bus.SubscribeOptions) bus.Source {
	t.Helper()
	return f.subscribeTo(t, "orders.>", group, o)
}

func (f *fixture) subscribeTo(t *testing.T, topic, group string, o *bus.SubscribeOptions) bus.Source {
	t.Helper()
	src, err := f.bus.Subscribe(t.Context(), topic, group, o)
	if err != nil {
		t.Fatalf("Subscribe(%q, %q): %v", topic, group, err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	return src
}

// short are options with the harness's deadline.
func (f *fixture) short() *bus.SubscribeOptions { return &bus.SubscribeOptions{AckWait: f.h.AckWait} }

// fetch collects exactly n deliveries, in as many calls as it takes, and leaves nothing asked for.
func (f *fixture) fetch(t *testing.T, src bus.Source, n int) []*bus.Delivery {
	t.Helper()
	return f.collect(t, src, n, false)
}

// fetchThrough is fetch across an outage: errors that pass are no failure.
func (f *fixture) fetchThrough(t *testing.T, src bus.Source, n int) []*bus.Delivery {
	t.Helper()
	return f.collect(t, src, n, true)
}

// collect asks again only when all that it asked for came, or can come no more.
func (f *fixture) collect(t *testing.T, src bus.Source, n int, outage bool) []*bus.Delivery {
	t.Helper()
	var ds []*bus.Delivery
	ask := n
	for limit := time.Now().Add(f.h.Patience); len(ds) < n && time.Now().Before(limit); {
		got, err := src.Fetch(t.Context(), ask)
		ds = append(ds, got...)
		switch {
		case err == nil:
		case outage && !final(err):
			pause()
		default:
			t.Fatalf("Fetch after %d of %d deliveries: %v", len(ds), n, err)
		}
		if ask = 0; len(got) == 0 {
			ask = n - len(ds)
		}
	}
	if len(ds) != n {
		t.Fatalf("%d deliveries came, %.200q; want %d", len(ds), ids(ds), n)
	}
	return ds
}

func final(err error) bool {
	return errors.Is(err, bus.ErrClosed) || errors.Is(err, bus.ErrConsumerLost)
}

// fetchNone watches that nothing is delivered for so long. What it asked for may stay
// asked for a while.
func (f *fixture) fetchNone(t *testing.T, src bus.Source, during time.Duration) {
	t.Helper()
	for limit := time.Now().Add(during); ; {
		left := time.Until(limit)
		if left <= 0 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), left)
		ds, err := src.Fetch(ctx, 1)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Fetch: %v", err)
		}
		if len(ds) > 0 {
			t.Fatalf("%v was delivered (arrival %d); want nothing", ids(ds), ds[0].Arrivals)
		}
	}
}

// readOut fetches what was asked for and is still to come.
func (f *fixture) readOut(t *testing.T, src bus.Source) []*bus.Delivery {
	t.Helper()
	var all []*bus.Delivery
	for limit := time.Now().Add(f.h.Patience); time.Now().Before(limit); {
		ds, err := src.Fetch(t.Context(), 0)
		if err != nil {
			t.Fatalf("Fetch(0): %v", err)
		}
		if len(ds) == 0 {
			return all
		}
		all = append(all, ds...)
	}
	t.Fatalf("Fetch(0) handed out %d deliveries and never ended", len(all))
	return nil
}

// info waits until what the bus tells of the group is as wanted: settlements are not confirmed.
func (f *fixture) info(t *testing.T, src bus.Source, what string, is func(bus.Info) bool) bus.Info {
	t.Helper()
	var info bus.Info
	for limit := time.Now().Add(f.h.Patience); time.Now().Before(limit); pause() {
		var err error
		if info, err = src.Info(t.Context()); err != nil {
			t.Fatalf("Info: %v", err)
		}
		if is(info) {
			return info
		}
	}
	t.Fatalf("Info never had %s: %+v", what, info)
	return info
}

// idle waits until the bus knows that nothing is unsettled.
func (f *fixture) idle(t *testing.T, src bus.Source) {
	t.Helper()
	f.info(t, src, "nothing unsettled", func(i bus.Info) bool { return i.Unsettled == 0 })
}

// pause is between two polls, and lets stored times differ.
func pause() { time.Sleep(5 * time.Millisecond) }

func ack(t *testing.T, ds ...*bus.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatalf("Ack of %q: %v", d.Event.ID, err)
		}
	}
}

func nak(t *testing.T, d *bus.Delivery, after time.Duration) {
	t.Helper()
	if err := d.Nak(t.Context(), after); err != nil {
		t.Fatalf("Nak of %q: %v", d.Event.ID, err)
	}
}

func wantIDs(t *testing.T, ds []*bus.Delivery, want ...string) {
	t.Helper()
	equal(t, "delivered", ids(ds), want)
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %q; want %q", what, got, want)
	}
}
