package protocol

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestDroppedWhileWaiting: what the stream deletes while it waits for its retry is dead-lettered
// with its data, or told of and counted.
func TestDroppedWhileWaiting(t *testing.T) {
	t.Parallel()
	t.Run("data is here", func(t *testing.T) {
		t.Parallel()
		r := failedHead(t, nil)
		r.pass(5 * time.Second)
		if _, gone := r.lookUp(nil, "x1"); len(gone) != 0 {
			t.Fatalf("%+v are gone already, before an ack deadline is over", gone)
		}
		r.pass(30 * time.Second)
		if _, gone := r.lookUp(nil, "x1"); len(gone) != 1 || !gone[0].Kept || gone[0].Key.ID != "x1" {
			t.Fatalf("gone: %+v, want x1 with its data", gone)
		}
		if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
			t.Fatalf("claimed %v, want x1", ids)
		}
		if s := r.settleOne(dedupe.GivenUp); s.Reason != ReasonDropped {
			t.Errorf("given up: %+v", s)
		}
		r.LetterPublished(r.now, r.letter(), nil)
		r.settleOne(dedupe.DeadLettered)
		r.want("x1 nothing dead")
		r.claims(nil)
		r.succeed(r.mustRun("x2"))
		r.empty()
	})
	t.Run("data is not here", func(t *testing.T) {
		t.Parallel()
		r := failedHead(t, func(c *Config) { c.MaxBytes = 512 + 32 }, func(a *Arrival) { a.Delivery.Event.Data = make([]byte, 32) })
		r.pass(45 * time.Second)
		if _, gone := r.lookUp(nil, "x1"); len(gone) != 1 || gone[0].Kept || r.Stats().Dropped != 1 {
			t.Fatalf("gone: %+v, %+v", gone, r.Stats())
		}
		if ids := r.claims(nil); !slices.Equal(ids, []string{"x2"}) {
			t.Errorf("claimed %v, want x2", ids)
		}
	})
	t.Run("settled by another", func(t *testing.T) {
		t.Parallel()
		r := failedHead(t, nil)
		r.pass(45 * time.Second)
		if _, gone := r.lookUp(map[string]dedupe.State{"x1": dedupe.Done}, "x1"); len(gone) != 0 || r.Stats().Dropped != 0 {
			t.Fatalf("gone: %+v", gone)
		}
	})
	t.Run("paused", func(t *testing.T) {
		t.Parallel()
		r := failedHead(t, nil)
		r.Pause(r.now)
		r.pass(45 * time.Second)
		if _, gone := r.lookUp(nil, "x1"); len(gone) != 0 {
			t.Fatalf("gone: %+v while nothing may begin", gone)
		}
	})
}

// TestDroppedEventIsKeptWhileTheReceiverIsUnavailable: others are tried first then, but what the
// bus has dropped is not redelivered.
func TestDroppedEventIsKeptWhileTheReceiverIsUnavailable(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	ids := many(enoughFailures)
	for i, id := range ids {
		r.give(arrival(id, uint64(i+1)))
		r.claims(nil)
		r.Ran(r.now, r.mustRun(id), unavailable("no route"))
		r.settleOne(dedupe.NotBegun)
	}
	if _, _, down := r.Unavailable(); !down {
		t.Fatal("the receiver is available")
	}
	r.pass(45 * time.Second)
	r.give(arrival(ids[1], 2, arrivals(2)))
	r.claims(nil)
	r.Ran(r.now, r.mustRun(ids[1]), unavailable("no route")) // a probe: those that failed before wait for longer
	r.settleOne(dedupe.NotBegun)
	if _, gone := r.lookUp(nil, ids[0]); len(gone) != 1 || !gone[0].Kept {
		t.Fatalf("gone: %+v, want the first event with its data", gone)
	}
	r.pass(maxGap)
	if claimed := r.claims(nil); !slices.Equal(claimed, ids[:1]) {
		t.Fatalf("claimed %v, want %v", claimed, ids[:1])
	}
	if s := r.settleOne(dedupe.GivenUp); s.Reason != ReasonDropped {
		t.Errorf("given up: %+v", s)
	}
}

// TestDroppedWhileItsHandlerHangs: what the bus dropped is dead-lettered once the handler has
// returned, and reported once.
func TestDroppedWhileItsHandlerHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.RunLimit = 20 * time.Second })
	r.give(arrival("x1", 1))
	r.claims(nil)
	x1 := r.mustRun("x1")
	for range 4 {
		r.pass(10 * time.Second)
	}
	r.settleOne(dedupe.Failed)
	for range 10 {
		r.pass(time.Minute)
		if _, gone := r.lookUp(nil, "x1"); len(gone) != 0 {
			t.Fatalf("gone: %+v, and its handler has not returned", gone)
		}
	}
	r.Ran(r.now, x1, fails("no"))
	r.pass(time.Minute)
	if _, gone := r.lookUp(nil, "x1"); len(gone) != 1 || !gone[0].Kept {
		t.Fatalf("gone: %+v, want x1 with its data", gone)
	}
	r.claims(nil)
	if s := r.settleOne(dedupe.GivenUp); s.Reason != ReasonDropped {
		t.Errorf("given up: %+v", s)
	}
}
