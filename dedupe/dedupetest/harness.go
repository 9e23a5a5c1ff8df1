package dedupetest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Harness tells the suite how to make a store. Only New is required.
type Harness struct {
	// New makes a store that is empty, and stays valid until the test has ended; t.Cleanup closes
	// it. It is called from tests that run in parallel.
	New func(t *testing.T) Subject

	// Run calls body, in a synctest bubble say. Nil: it is called as it is.
	Run func(t *testing.T, body func(t *testing.T))
	// Wait lets time pass, for the store and for its clients. Nil: time.Sleep, which serves real
	// stores and bubbles.
	Wait func(t *testing.T, d time.Duration)
	// Lease is the length of a lease that is waited for: the shortest that the store can keep, and
	// that the machine can keep up with, at most 3 s. Zero: 1 s. At least twice the store's
	// uncertainty about time.
	Lease time.Duration
	// TTL is the length of a TTL that is waited for. At least twice Lease. Zero: 4 s.
	TTL time.Duration

	// Bounded makes a store with room for 4 to 1,000 keys. Nil: the store has no bound of its own.
	Bounded func(t *testing.T) Subject
	// Walks is how many random walks of 60 calls are compared with the model. Zero: 20.
	Walks int
}

// Subject is one store and what can be done to it. What is nil cannot be done.
type Subject struct {
	Store dedupe.Store

	// Skewed is a store over the same data whose client's clock is off by d.
	Skewed func(t *testing.T, d time.Duration) dedupe.Store

	// Fault arms a fault of the n-th call, from 0, that the store makes to its driver from now on,
	// counting only calls on behalf of the suite's own, not those that keep a clock or a
	// connection. With applied it is carried out and its answer is lost; else it fails unheard.
	// fired reports whether it has come to that, and disarms it.
	Fault func(n int, applied bool) (fired func() bool)

	// Partial makes the next write of this one key fail at the driver, while others of its batch
	// are applied. fired is as in Fault.
	Partial func(key dedupe.Key) (fired func() bool)

	// Refuse makes the store's server refuse or fail all calls, until it is called with false.
	Refuse func(on bool)

	// Newer writes a row for the key that only a later version of the store can read. Nil: the
	// store has rows of one version alone.
	Newer func(t *testing.T, key dedupe.Key)

	// Present reports whether there is a row for the key, expired or not. It is given only when
	// nothing sweeps expired rows while a test runs.
	Present func(t *testing.T, key dedupe.Key) bool
}

func (h Harness) withDefaults() Harness {
	if h.Run == nil {
		h.Run = func(t *testing.T, body func(t *testing.T)) { t.Helper(); body(t) }
	}
	if h.Wait == nil {
		h.Wait = func(_ *testing.T, d time.Duration) { time.Sleep(d) }
	}
	if h.Lease == 0 {
		h.Lease = time.Second
	}
	if h.TTL == 0 {
		h.TTL = 4 * time.Second
	}
	if h.Walks == 0 {
		h.Walks = 20
	}
	return h
}
