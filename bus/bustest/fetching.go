package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func fetching() []promise {
	return []promise{
		{name: "Fetch waits about a second for nothing", keeps: waitsASecond},
		{name: "Fetch returns as soon as something is there", keeps: returnsSoon},
		{name: "the end of its ctx ends the waiting of Fetch", keeps: endsWithCtx},
		{name: "Fetch hands out no more than was asked for", keeps: noMoreThanAsked},
		{name: "Fetch of 0 asks for nothing", keeps: asksNothing},
		{name: "Fetch of 0 reads out what was asked for, and leaves the rest to others", keeps: readsOut},
		{name: "a Fetch that was given up strands nothing once it is read out", keeps: strandsNothing},
	}
}

// about is how much longer than promised a call may take on a busy machine.
const about = 2 * time.Second

func waitsASecond(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	for range 2 {
		began := time.Now()
		ds, err := src.Fetch(t.Context(), 10)
		if took := time.Since(began); err != nil || len(ds) != 0 || took > time.Second+about {
			t.Fatalf("Fetch of nothing: %v, %v after %v; want none, no error, after a second", ids(ds), err, took)
		}
	}
}

// returnsSoon tries more than once: a busy machine may be late now and then, a bus that waits out
// its second always is.
func returnsSoon(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	var waited time.Duration
	for _, e := range events(5) {
		published := make(chan error, 1)
		go func() {
			pause() // Fetch is likely waiting by now; the promise holds if it is not
			_, err := f.bus.Publish(context.WithoutCancel(t.Context()), e)
			published <- err
		}()
		d := f.fetch(t, src, 1)[0]
		waited = time.Since(d.At.Stored)
		if err := <-published; err != nil {
			t.Fatalf("Publish: %v", err)
		}
		ack(t, d)
		if waited < 500*time.Millisecond {
			return
		}
	}
	t.Errorf("each event was fetched late, the last %v after it was stored", waited)
}

func endsWithCtx(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	ds, err := src.Fetch(ctx, 10)
	if took := time.Since(began); len(ds) != 0 || took > about/2 || err != nil && ctx.Err() == nil {
		t.Fatalf("Fetch: %v, %v after %v; want none when its ctx ends, after 10ms", ids(ds), err, took)
	}
	if final(err) {
		t.Fatalf("Fetch: %v; the source is as usable as before", err)
	}
	f.publish(t, event("1"))
	wantIDs(t, f.fetch(t, src, 1), "1")
}

func noMoreThanAsked(t *testing.T, f *fixture) {
	f.publish(t, events(50)...)
	src := f.subscribe(t, "g", nil)
	asked, got := 0, 0
	for limit := time.Now().Add(f.h.Patience); got < 50 && time.Now().Before(limit); {
		ds, err := src.Fetch(t.Context(), 7)
		if err != nil {
			t.Fatalf("Fetch: %v", err)
		}
		asked, got = asked+7, got+len(ds)
		if got > asked {
			t.Fatalf("%d deliveries for %d that were asked for", got, asked)
		}
	}
	if got != 50 {
		t.Fatalf("%d deliveries of 50 events", got)
	}
}

func asksNothing(t *testing.T, f *fixture) {
	f.publish(t, events(3)...)
	src := f.subscribe(t, "g", nil)
	if ds := f.readOut(t, src); len(ds) != 0 {
		t.Fatalf("Fetch(0) hands out %v; nothing was asked for", ids(ds))
	}
	for _, d := range f.fetch(t, src, 3) {
		if d.Arrivals != 1 {
			t.Errorf("%q counts %d arrivals: Fetch(0) asked for it", d.Event.ID, d.Arrivals)
		}
	}
}

// wantAll checks that every event arrived once.
func wantAll(t *testing.T, n int, ds ...*bus.Delivery) {
	t.Helper()
	seen := map[string]bool{}
	for _, d := range ds {
		if seen[d.Event.ID] || d.Arrivals != 1 {
			t.Errorf("%q arrived twice (arrival %d)", d.Event.ID, d.Arrivals)
		}
		seen[d.Event.ID] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d events arrived", len(seen), n)
	}
}

func readsOut(t *testing.T, f *fixture) {
	const asked, all = 10, 25
	src, other := f.subscribe(t, "g", nil), f.subscribe(t, "g", nil)
	es := events(all)
	f.publish(t, es[:3]...)
	ds, err := src.Fetch(t.Context(), asked)
	if err != nil || len(ds) == 0 {
		t.Fatalf("Fetch: %v, %v", ids(ds), err)
	}
	f.publish(t, es[3:]...)
	ds = append(ds, f.readOut(t, src)...)
	if len(ds) > asked {
		t.Fatalf("%d deliveries for %d that were asked for", len(ds), asked)
	}
	wantAll(t, all, append(ds, f.fetch(t, other, all-len(ds))...)...)
}

func strandsNothing(t *testing.T, f *fixture) {
	const all = 5
	src, other := f.subscribe(t, "g", nil), f.subscribe(t, "g", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ds, _ := src.Fetch(ctx, 100)
	f.publish(t, events(all)...)
	ds = append(ds, f.readOut(t, src)...)
	var rest []*bus.Delivery
	if len(ds) < all {
		rest = f.fetch(t, other, all-len(ds))
	}
	wantAll(t, all, append(ds, rest...)...)
}
