package bustest

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func closing() []promise {
	return []promise{
		{name: "Close may be called again, and ends Fetch", keeps: closes},
		{name: "Close ends a waiting Fetch", keeps: closesWaiting},
		{name: "Close flushes settlements", keeps: closeFlushes},
		{name: "Close of one source leaves the others alone", keeps: closesOne},
		{name: "a source is healthy while nothing is wrong", keeps: healthy},
	}
}

func closes(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, event("1"))
	for range 3 {
		if err := src.Close(t.Context()); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for _, n := range []int{1, 0} {
			if ds, err := src.Fetch(t.Context(), n); !errors.Is(err, bus.ErrClosed) || len(ds) != 0 {
				t.Fatalf("Fetch(%d) after Close: %v, %v; want ErrClosed", n, ids(ds), err)
			}
		}
	}
	wantIDs(t, f.fetch(t, f.subscribe(t, "g", nil), 1), "1")
}

func closesWaiting(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	closed := make(chan error, 1)
	go func() {
		pause() // Fetch is likely waiting by now; the promise holds if it is not
		closed <- src.Close(t.Context())
	}()
	for limit := time.Now().Add(f.h.Patience); ; {
		ds, err := src.Fetch(t.Context(), 1)
		if errors.Is(err, bus.ErrClosed) {
			break
		}
		if err != nil || len(ds) > 0 || time.Now().After(limit) {
			t.Fatalf("Fetch under Close: %v, %v; want ErrClosed", ids(ds), err)
		}
	}
	if err := <-closed; err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func closeFlushes(t *testing.T, f *fixture) {
	src, other := f.subscribe(t, "g", nil), f.subscribe(t, "g", nil)
	f.publish(t, events(100)...)
	ack(t, f.fetch(t, src, 100)...)
	if err := src.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	f.idle(t, other)
}

func closesOne(t *testing.T, f *fixture) {
	a, b := f.subscribe(t, "g", nil), f.subscribe(t, "g", nil)
	f.publish(t, event("1"))
	d := f.fetch(t, b, 1)[0]
	if err := a.Close(t.Context()); err != nil {
		t.Fatalf("Close: %v", err)
	}
	ack(t, d)
	f.idle(t, b)
	f.publish(t, event("2"))
	wantIDs(t, f.fetch(t, b, 1), "2")
}

func healthy(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, events(3)...)
	for range 3 {
		if err := src.Healthy(); err != nil {
			t.Errorf("Healthy: %v", err)
		}
		ack(t, f.fetch(t, src, 1)...)
	}
}
