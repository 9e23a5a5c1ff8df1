package protocol

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// handle takes events through, to their ack.
func (r *rig) handle(seqs ...uint64) {
	r.Helper()
	for _, seq := range seqs {
		r.give(arrival(fmt.Sprint("e", seq), seq))
		r.claims(nil)
		r.succeed(r.mustRun(fmt.Sprint("e", seq)))
	}
	r.Answers()
}

// position is of the event that arrival makes.
func position(seq uint64) bus.Position { return arrival("", seq).Delivery.At }

// advances wants Advance to return the events at these sequences.
func (r *rig) advances(stream string, floor uint64, want ...uint64) {
	r.Helper()
	got := r.SettledUpTo(r.now, stream, floor)
	if !slices.EqualFunc(got, want, func(p bus.Position, seq uint64) bool { return p == position(seq) }) {
		r.Errorf("advances at floor %d to %v, want the events %v", floor, got, want)
	}
}

// TestAdvance: the watermark is the newest event at or below the bus's floor that was settled here.
func TestAdvance(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.advances("s@1", 5)
	r.handle(4, 2, 9)
	r.advances("s@2", 5)
	r.advances("s@1", 1)
	for range 2 { // the store may not have taken it
		r.advances("s@1", 5, 2, 4)
	}
	r.WatermarkStored(r.now, position(4))
	r.advances("s@1", 5)
	r.advances("s@1", 7) // settled by others, who advance it themselves
	r.advances("s@1", 9, 9)
	r.WatermarkStored(r.now, position(9))
	r.advances("s@1", 20)
	r.give(arrival("e9", 9))
	r.want("e9 ack duplicate")
	r.advances("s@1", 20)
}

// TestNakIsNoProgress: only what is acknowledged counts as settled.
func TestNakIsNoProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.handle(1)
	r.give(arrival("e2", 2))
	r.claims(map[string]dedupe.Claim{"e2": {State: dedupe.Held, HeldFor: time.Second}})
	r.advances("s@1", 2, 1)
}

// TestThinning: what is remembered is bounded, and stays true.
func TestThinning(t *testing.T) {
	t.Parallel()
	var p settledEvents
	const n = 3*maxSettledEvents + 7
	for seq := uint64(1); seq <= n; seq++ {
		p.recordSettled(arrival("", seq).Delivery.At)
		if len(p.seen) > maxSettledEvents {
			t.Fatalf("%d sightings are kept, at most %d are to be", len(p.seen), maxSettledEvents)
		}
	}
	m := New(Config{}, time.Time{})
	m.settled = p
	settled := m.SettledUpTo(time.Time{}, "s@1", n/2)
	if len(settled) == 0 {
		t.Fatal("nothing is known to be settled")
	}
	if w := settled[len(settled)-1]; w.Sequence > n/2 || w.Sequence < n/2-32 || w != position(w.Sequence) {
		t.Errorf("advances to %v, want an event a little below %d", w, n/2)
	}
}

// TestBudget: no more is fetched ahead than finished in the last 100 ms, and nothing for a slot
// that is taken.
func TestBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 4 })
	fetches := func(want int) {
		t.Helper()
		n, ok := r.Fetch(r.now)
		if n != want || ok != (want > 0) {
			t.Errorf("fetches %d (%v), want %d", n, ok, want)
		}
	}
	fetches(4)
	r.give(arrival("a", 1), arrival("b", 2), arrival("c", 3))
	fetches(1)
	r.give(arrival("d", 4))
	fetches(0)
	r.claims(nil)
	fetches(0)
	for _, id := range []string{"a", "b", "c", "d"} {
		r.mustRun(id)
	}
	fetches(0)
	r = newRig(t, func(c *Config) { c.Concurrency = 4 })
	for i := range uint64(20) {
		r.handle(i + 1)
	}
	fetches(24)
	r.now = r.now.Add(99 * time.Millisecond)
	fetches(24)
	r.now = r.now.Add(10 * time.Millisecond)
	fetches(4)
}

// TestCallsAreBounded: no call to the store has more than a batch.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxBatch, c.Concurrency = 3, 7 })
	for i := range uint64(7) {
		r.give(arrival(fmt.Sprint(i), i+1))
	}
	for _, want := range []int{3, 3, 1} {
		if ids := r.claims(nil); len(ids) != want {
			t.Fatalf("%d claims in a batch, want %d", len(ids), want)
		}
	}
	for range 7 {
		r.Ran(r.now, r.run(), Verdict{})
	}
	for _, want := range []int{3, 3, 1} {
		if ss := r.settle(true); len(ss) != want {
			t.Fatalf("%d settlements in a batch, want %d", len(ss), want)
		}
	}
}

// TestExposureIsBounded: no more than MaxUnmarked events have started and are not settled, however
// they ended, and by default that is the concurrency. So much is what a crash repeats.
func TestExposureIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ concurrency, most, want int }{{1, 0, 1}, {3, 0, 3}, {2, 5, 5}} {
		r := newRig(t, func(cfg *Config) { cfg.Concurrency, cfg.MaxUnmarked = c.concurrency, c.most })
		for i := range uint64(12) {
			r.give(arrival(fmt.Sprint(i), i+1))
		}
		r.claims(nil)
		started := 0
		for j := r.run(); j != nil; j = r.run() {
			started++
			r.Ran(r.now, j, []Verdict{{}, fails("no"), {Kind: Permanent}}[started%3])
		}
		if started != c.want {
			t.Errorf("%d started before anything was settled, want %d of concurrency %d", started, c.want, c.concurrency)
		}
		r.settle(true)
		if r.run() == nil {
			t.Error("none starts after all are settled")
		}
		if err := r.Audit(); err != nil {
			t.Error(err)
		}
	}
}

// TestFetchingIsBoundedInBytes: large events are asked for in smaller numbers, and not at all while
// what is here takes all the room.
func TestFetchingIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	large := func(a *Arrival) { a.Delivery.Event.Data = make([]byte, 1<<20) }
	r := newRig(t, func(c *Config) { c.Concurrency, c.MaxBytes = 100, 10<<20 })
	if n, _ := r.Fetch(r.now); n != 100 {
		t.Fatalf("fetches %d, want 100", n)
	}
	for i := range uint64(8) {
		r.give(arrival(fmt.Sprint(i), i+1, large))
	}
	if n, _ := r.Fetch(r.now); n < 1 || n > 4 {
		t.Errorf("fetches %d with room for two", n)
	}
	for i := range uint64(3) {
		r.give(arrival(fmt.Sprint("more", i), i+9, large))
	}
	if n, ok := r.Fetch(r.now); n != 0 || !ok {
		t.Errorf("fetches %d (%v), want to take in what is open", n, ok)
	}
}

// TestOpenPullsAreReadOut: a request that is open covers a later, smaller one: what it brings is
// taken in as it comes.
func TestOpenPullsAreReadOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 16 })
	for range 480 {
		r.fetches.finished.addOne(r.now)
	}
	if n, _ := r.Fetch(r.now); n != 496 {
		t.Fatalf("asks for %d", n)
	}
	r.give(arrival("a", 1))
	r.now = r.now.Add(200 * time.Millisecond) // nothing finished lately
	r.Fetch(r.now)
	for i := range uint64(15) {
		r.give(arrival(fmt.Sprint("b", i), i+2))
		r.Fetch(r.now)
	}
	r.claims(nil)
	for r.run() != nil { //nolint:revive // until nothing is left to run
	}
	if n, ok := r.Fetch(r.now); n != 0 || !ok {
		t.Errorf("fetches %d (%v) with hundreds under way, want to take them in", n, ok)
	}
}

// TestWaitIsBounded: what waits too long for a slot, a limit or a gate is given back.
func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency = 1 })
	r.give(arrival("gate", 1), arrival("ready", 2))
	r.claims(nil)
	gate := r.Next(r.now)
	for range 3 {
		r.pass(10 * time.Second)
		r.extendAll()
	}
	if cs := r.Cancels(); len(cs) != 1 || cs[0].Job != gate {
		t.Fatalf("cancelled %+v, want what waits at the gate", cs)
	}
	r.Abandon(r.now, gate, 0)
	if ss := r.settle(true); len(ss) != 2 || ss[0].Outcome != dedupe.NotBegun || ss[1].Outcome != dedupe.NotBegun {
		t.Fatalf("settled %+v, want both given back", ss)
	}
	r.empty()
}

// TestTickEvery is often enough for the shortest deadline.
func TestTickEvery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lease, want time.Duration
	}{{time.Hour, time.Second}, {6 * time.Second, 500 * time.Millisecond}, {time.Millisecond, 5 * time.Millisecond}} {
		cfg := Config{Lease: c.lease, AckWait: time.Hour, RunLimit: time.Hour}
		if got := cfg.TickEvery(); got != c.want {
			t.Errorf("a lease of %v: a tick each %v, want %v", c.lease, got, c.want)
		}
	}
}

// TestLostBeforeSettling: who hears of the loss while a settlement waits to be sent says nothing
// more, and the settlement is refused.
func TestLostBeforeSettling(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.pass(10 * time.Second)
	r.want("a progress working")
	b := r.Renewals(r.now)
	r.Ran(r.now, j, fails("no"))
	r.Renewed(r.now, b, []error{dedupe.ErrSuperseded}, nil)
	r.pass(15 * time.Second)
	r.want()
	r.settle(false)
	r.want("a nothing lost")
	r.empty()
}
