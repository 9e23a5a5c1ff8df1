package replay_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/replay"
)

// preview previews a replay of the whole topic to billing.
func (w *harness) preview(o *replay.PreviewOptions) replay.Preview {
	w.t.Helper()
	n, err := replay.PreviewGroup(w.t.Context(), w.bus, w.stores["billing"], topic, bus.Range{}, "billing", o)
	must(w.t, err)
	n.Last = bus.Position{}
	return n
}

// A dry run says of each event what would become of it, and afterwards everything is as it was.
func TestDryRunWritesNothing(t *testing.T) {
	inBubble(t, func(w *harness) {
		publish(w.t, w.bus, numbered(4)...) // 0 to 3, before the group begins
		w.failing["5"] = true
		s := w.subscribe("billing", bus.Start{Latest: true})
		publish(w.t, w.bus, numbered(8)[4:]...) // 4, 6 and 7 are done, 5 is dead
		w.settle()
		must(w.t, s.Drain(context.Background()))
		store := w.stores["billing"]
		_, err := store.Claim(w.t.Context(), []dedupe.Request{{
			Key: dedupe.Key{Topic: "orders.new", Group: "billing", ID: "3"}, Nonce: "n", Lease: time.Hour, TTL: 2 * time.Hour,
		}})
		must(w.t, err)
		publish(w.t, w.bus, numbered(10)[8:]...) // 8 and 9 are pending
		publish(w.t, w.bus, numbered(1)[0].WithControl(bus.Control{Group: "other", Copy: "1"}))
		before := len(readAll(w.t, w.bus, ">"))
		for _, c := range []struct {
			o    *replay.PreviewOptions
			want replay.Preview
		}{
			{nil, replay.Preview{Events: 10, WouldRun: 3, Held: 1, Done: 3, Dead: 1, Pending: 2, LeftOut: replay.LeftOut{Copies: 1}}},
			{&replay.PreviewOptions{Again: "fix"}, replay.Preview{Events: 10, WouldRun: 10, LeftOut: replay.LeftOut{Copies: 1}}},
			{&replay.PreviewOptions{Filter: replay.Filter{Data: "none"}}, replay.Preview{}},
			{&replay.PreviewOptions{Filter: replay.Filter{IDs: []string{"5", "6"}}}, replay.Preview{Events: 2, Done: 1, Dead: 1}},
			{&replay.PreviewOptions{Limit: 5}, replay.Preview{Events: 5, WouldRun: 3, Held: 1, Done: 1}},
			{&replay.PreviewOptions{ID: func(bus.Event) string { return "4" }}, replay.Preview{Events: 10, Done: 10, LeftOut: replay.LeftOut{Copies: 1}}},
			{&replay.PreviewOptions{ID: func(bus.Event) string { return "" }}, replay.Preview{Events: 10, Dead: 10, LeftOut: replay.LeftOut{Copies: 1}}},
		} {
			if got := w.preview(c.o); got != c.want {
				t.Errorf("%+v:\n%+v; want\n%+v", c.o, got, c.want)
			}
		}
		if after := len(readAll(w.t, w.bus, ">")); after != before {
			t.Errorf("the bus has %d events, and had %d", after, before)
		}
		w.failing["5"] = false
		w.subscribe("billing", bus.Start{})
		w.wantHandled("billing", numbered(10)[4:5], 1)
		w.wantHandled("billing", numbered(10)[5:6], 0)
		w.wantHandled("billing", numbered(10)[8:], 1)
		w.wantHandled("billing", numbered(4), 0)
	})
}

// readCounter counts events that were read with their data.
type readCounter struct {
	*membus.Bus

	withData int
}

func (b *readCounter) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	return func(yield func(bus.Stored, error) bool) {
		for s, err := range b.Bus.Read(ctx, pattern, r) {
			if !r.HeadersOnly {
				b.withData++
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// Data is read from the first event on that is not understood without it.
func TestDryRunReadsDataWhereItIsNeeded(t *testing.T) {
	inBubble(t, func(w *harness) {
		b := &readCounter{Bus: w.bus}
		w.subscribe("billing", bus.Start{})
		publish(w.t, w.bus, numbered(10)...)
		publish(w.t, w.bus, numbered(1)[0].WithControl(bus.Control{Group: "other", Copy: "1"}))
		publish(w.t, w.bus, numbered(12)[10:]...)
		w.settle()
		n, err := replay.PreviewGroup(w.t.Context(), b, w.stores["billing"], topic, bus.Range{}, "billing", nil)
		if err != nil || n.Events != 12 || n.Done != 12 || n.LeftOut.Copies != 1 || b.withData != 3 {
			t.Errorf("%+v, %v, %d events read with data; want 12 events, and 3 with data", n, err, b.withData)
		}
	})
}

// A mark is that of the event, whatever the layout of its topic.
func TestDryRunKnowsEventsOfPartitions(t *testing.T) {
	t.Parallel()
	b := newBus(t, 0)
	partition := bus.Partition{Topic: "orders.new", Of: 8, Number: 3}.Name()
	publish(t, b, bus.Event{ID: "1", Topic: partition}, bus.Event{ID: "2", Topic: partition + ".k"}, bus.Event{ID: "3", Topic: partition})
	store, err := memdedupe.New(nil)
	must(t, err)
	for _, id := range []string{"1", "2"} {
		_, err := store.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{Topic: "orders.new", Group: "billing", ID: id}, State: dedupe.Done, TTL: time.Hour}})
		must(t, err)
	}
	n, err := replay.PreviewGroup(t.Context(), b, store, partition, bus.Range{}, "billing", nil)
	if err != nil || n.Events != 3 || n.Done != 2 || n.WouldRun != 1 {
		t.Errorf("%+v, %v; want 3 events, of which 2 are done", n, err)
	}
}
