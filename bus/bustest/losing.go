package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func losing(h Harness) []promise {
	return []promise{
		{name: "a deleted cursor is ErrConsumerLost, and resumes at its watermark", keeps: resumesLost, unless: h.DeleteGroup == nil},
		{
			name: "a deleted cursor resumes at its watermark though stored times have stepped back", keeps: resumesStepped,
			unless: h.DeleteGroup == nil || h.StepClock == nil,
		},
		{name: "a cursor is made neither in another incarnation than it was to resume in, nor beyond its end", keeps: refusesReplaced},
		{name: "a cursor deleted under a waiting Fetch is ErrConsumerLost", keeps: losesWaiting, unless: h.DeleteGroup == nil},
		{
			name: "a deleted cursor of a work queue resumes with what is left", keeps: resumesQueue,
			stream: Stream{WorkQueue: true}, unless: h.DeleteGroup == nil,
		},
	}
}

// lost waits until the source has noticed that its cursor is gone.
func (f *fixture) lost(t *testing.T, src bus.Source) {
	t.Helper()
	if err := f.awaitLost(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if src.Healthy() == nil {
		t.Error("a source whose cursor is gone is healthy")
	}
}

// awaitLost fetches until the cursor is gone; other errors pass.
func (f *fixture) awaitLost(ctx context.Context, src bus.Source) error {
	var last error
	for limit := time.Now().Add(f.h.Patience); time.Now().Before(limit); {
		ds, err := src.Fetch(ctx, 1)
		if errors.Is(err, bus.ErrConsumerLost) {
			return nil
		}
		if len(ds) > 0 || errors.Is(err, bus.ErrClosed) {
			return fmt.Errorf("fetch of a deleted group: %v, %w", ids(ds), err)
		}
		if last = err; err != nil {
			pause()
		}
	}
	return fmt.Errorf("fetch of a deleted group never returned ErrConsumerLost, last: %w", last)
}

func resumesLost(t *testing.T, f *fixture) {
	for _, e := range events(6) {
		f.publish(t, e)
		pause()
	}
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 4)
	ack(t, ds...)
	f.idle(t, src)
	f.readOut(t, src)
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	f.lost(t, src)
	if f.topic(t, "orders.>", "g", bus.Start{}).Known {
		t.Error("the group is known without a cursor")
	}
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: ds[3].At, From: bus.Start{Latest: true}})
	again := f.fetch(t, src, 2)
	wantIDs(t, again, "5", "6")
	if again[0].At.Stream != ds[3].At.Stream || !ds[3].At.Covers(ds[2].At) || ds[3].At.Covers(again[0].At) {
		t.Errorf("the watermark %+v must cover %+v, and not %+v", ds[3].At, ds[2].At, again[0].At)
	}
}

func resumesStepped(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 3)
	ack(t, ds...)
	f.idle(t, src)
	f.readOut(t, src)
	f.h.StepClock(t, f.bus, -5*time.Minute)
	f.publish(t, event("4"), event("5"))
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: ds[2].At})
	after := f.fetch(t, src, 2)
	wantIDs(t, after, "4", "5")
	for _, d := range after {
		if back := ds[2].At.Stored.Sub(d.At.Stored); back < 4*time.Minute || ds[2].At.Covers(d.At) {
			t.Errorf("%q was stored %v before the watermark %+v; want 5m0s, and that it is not covered", d.Event.ID, back, ds[2].At)
		}
	}
}

func refusesReplaced(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	at := f.topic(t, "orders.>", "g", bus.Start{}).Last
	other, beyond := at, at
	other.Stream += "0"
	beyond.Sequence++
	for _, resume := range []bus.Position{other, beyond, {Stream: other.Stream}} {
		if _, err := f.bus.Subscribe(t.Context(), "orders.>", "g", &bus.SubscribeOptions{Resume: resume}); err == nil {
			t.Errorf("Subscribe resumes at %+v; the stream is %+v", resume, at)
		}
	}
	if f.topic(t, "orders.>", "g", bus.Start{}).Known {
		t.Error("a cursor was made all the same")
	}
	f.begins(t, "g", &bus.SubscribeOptions{Resume: at, From: bus.Start{Latest: true}}, "4")
}

func losesWaiting(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	lost := make(chan error, 1)
	go func() { lost <- f.awaitLost(context.WithoutCancel(t.Context()), src) }()
	pause() // Fetch is likely waiting by now; the promise holds if it is not
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	if err := <-lost; err != nil {
		t.Error(err)
	}
}

func resumesQueue(t *testing.T, f *fixture) {
	f.publish(t, events(4)...)
	src := f.subscribe(t, "g", nil)
	ds := f.fetch(t, src, 3)
	ack(t, ds[0], ds[2])
	f.info(t, src, "2 settled", func(i bus.Info) bool { return i.Unsettled == 1 })
	f.h.DeleteGroup(t, f.bus, "orders.>", "g")
	f.lost(t, src)
	src = f.subscribe(t, "g", &bus.SubscribeOptions{Resume: ds[2].At})
	wantIDs(t, f.fetch(t, src, 2), "2", "4")
}
