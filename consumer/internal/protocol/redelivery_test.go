package protocol

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// failedHead has x1 fail while x2 waits for it.
func failedHead(t *testing.T, change func(*Config), first ...func(*Arrival)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.give(arrival("x1", 1, append(first, ordered("x"))...), arrival("x2", 2, ordered("x")))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("x1"), fails("no"))
	r.settleOne(dedupe.Failed)
	r.want("x1 nak failed")
	if key, n := r.FullestKey(); key != "x" || n != 2 {
		t.Errorf("key %q with %d events is the fullest, want x with 2", key, n)
	}
	return r
}

// lookUp answers the next look-ups by id; the bus has all but those named.
func (r *rig) lookUp(known map[string]dedupe.State, goneIDs ...string) (asked []string, gone []Gone) {
	r.Helper()
	b := r.Lookups(r.now)
	records, there := make([]dedupe.Record, len(b.Items)), make([]bool, len(b.Items))
	for i, l := range b.Items {
		asked = append(asked, l.Key.ID)
		records[i].State, there[i] = known[l.Key.ID], !slices.Contains(goneIDs, l.Key.ID)
	}
	if !b.Empty() {
		gone = r.LookedUp(r.now, b, records, there, nil)
	}
	if err := r.Audit(); err != nil {
		r.Error(err)
	}
	return asked, gone
}

// TestOrderAcrossRetry: nothing later of a key starts before what was nacked is
// redelivered and settled.
func TestOrderAcrossRetry(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	r.pass(time.Second)
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
	r.succeed(r.mustRun("x1"))
	r.claims(nil)
	r.succeed(r.mustRun("x2"))
	r.empty()
}

// TestOrderOutlastsOutage: a bus that is away for longer than every deadline does not let later
// events of the key go ahead, for a clock that runs while nothing can be delivered says nothing
// of the event.
func TestOrderOutlastsOutage(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	for range 100 {
		r.pass(30 * time.Second)
		r.lookUp(nil)
		if ids := r.claims(nil); len(ids) != 0 {
			t.Fatalf("claimed %v although x1 was never seen again", ids)
		}
	}
	if o, ok := r.Overdue(r.now, time.Minute); !ok || o.Key != "x" || o.Sequence != 1 || o.Waiting != 1 {
		t.Errorf("overdue: %+v (%v), want sequence 1 of key x", o, ok)
	}
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
	if _, ok := r.Overdue(r.now, 0); ok {
		t.Error("overdue although it was redelivered")
	}
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
}

// TestOrderEndsElsewhere: later events go ahead once the store says that the nacked one is settled,
// or another owner's.
func TestOrderEndsElsewhere(t *testing.T) {
	t.Parallel()
	for state, goesOn := range map[dedupe.State]bool{
		dedupe.Done: true, dedupe.Dead: true, dedupe.Held: true, dedupe.Fresh: false, dedupe.DeadLettering: false,
	} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			r := failedHead(t, nil)
			if asked, _ := r.lookUp(nil); len(asked) != 0 {
				t.Errorf("looked up %v before it is due", asked)
			}
			r.pass(3 * time.Second)
			if asked, _ := r.lookUp(map[string]dedupe.State{"x1": state}); !slices.Equal(asked, []string{"x1"}) {
				t.Errorf("looked up %v, want x1", asked)
			}
			if ids := r.claims(nil); (len(ids) == 1) != goesOn {
				t.Errorf("claimed %v", ids)
			}
		})
	}
}

// TestOwnBackoffIsNotElsewhere: a copy that comes before its own backoff is over is answered held,
// and still holds up what is later.
func TestOwnBackoffIsNotElsewhere(t *testing.T) {
	t.Parallel()
	held := map[string]dedupe.Claim{"x1": {State: dedupe.Held, HeldFor: time.Minute}}
	r := failedHead(t, func(c *Config) { c.Backoff.Base = time.Minute })
	r.pass(time.Second)
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
	r.claims(held)
	r.want("x1 nak held")
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v while x1 is backing off here", ids)
	}
	r.pass(5 * time.Second)
	if r.lookUp(map[string]dedupe.State{"x1": dedupe.Held}); len(r.claims(nil)) != 0 {
		t.Fatal("what is held by its own backoff is taken for another owner's")
	}
	r.pass(time.Minute)
	r.give(arrival("x1", 1, ordered("x"), arrivals(3)))
	r.claims(held) // by another process, which claimed it since
	r.want("x1 nak held")
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x2"}) {
		t.Fatalf("claimed %v, want x2: x1 is another owner's", ids)
	}
}

// TestWhatOthersWaitForIsAdmitted however many wait; the latest of them is nacked for it.
func TestWhatOthersWaitForIsAdmitted(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 3, 8, 100} {
		r := newRig(t, func(c *Config) { c.MaxWaiting = most })
		for i := range uint64(most) + 5 {
			r.give(arrival(fmt.Sprint("x", i), i+1, ordered("x")))
		}
		r.claims(nil)
		r.Answers()
		r.Ran(r.now, r.mustRun("x0"), fails("no"))
		r.settleOne(dedupe.Failed)
		r.pass(2 * time.Second)
		r.give(arrival("x0", 1, ordered("x"), arrivals(2)))
		if ids := r.claims(nil); !slices.Equal(ids, []string{"x0"}) {
			t.Errorf("claimed %v with %d waiting, want x0", ids, r.waitingCount())
		}
		if err := r.Audit(); err != nil {
			t.Error(err)
		}
	}
}

// TestKeyedBacklogDrains: a backlog of one key is handled in order whatever the bounds are, when
// heads fail, and when what is nacked comes back late.
func TestKeyedBacklogDrains(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 2, 3, 4, 16} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *Config) { c.MaxWaiting, c.MaxAhead, c.MaxBatch, c.Concurrency = most, most, most, 4 })
			const events = 60
			onBus := make(map[uint64]time.Time)
			for seq := range uint64(events) {
				onBus[seq+1] = r.now
			}
			var handled []string
			failed := make(map[string]bool)
			for step := 0; len(handled) < events; step++ {
				if step == 20_000 {
					t.Fatalf("%d of %d handled after %d steps: %+v", len(handled), events, step, r.Stats())
				}
				r.pass(50 * time.Millisecond)
				r.deliver(onBus)
				r.lookUp(nil)
				r.claims(nil)
				for j := r.run(); j != nil; j = r.run() {
					if id := j.Key().ID; len(id)%2 == 0 && !failed[id] {
						failed[id] = true
						r.Ran(r.now, j, fails("once"))
					} else {
						handled = append(handled, id)
						r.Ran(r.now, j, Verdict{})
					}
				}
				r.settle(true)
				r.takeBack(onBus)
			}
			if !slices.IsSortedFunc(handled, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) }) {
				t.Errorf("handled in the order %v", handled)
			}
		})
	}
}

// deliver hands over as much as is asked for of what is due, redeliveries and lower
// sequences first.
func (r *rig) deliver(onBus map[uint64]time.Time) {
	n, _ := r.Fetch(r.now)
	var as []Arrival
	for seq := uint64(1); seq <= 60 && len(as) < n; seq++ {
		if due, ok := onBus[seq]; ok && !r.now.Before(due) {
			delete(onBus, seq)
			as = append(as, arrival(fmt.Sprint("x", seq), seq, ordered("x")))
		}
	}
	r.give(as...)
}

// takeBack is the bus's side of the answers.
func (r *rig) takeBack(onBus map[uint64]time.Time) {
	for _, a := range r.Answers() {
		if a.Kind == Nak {
			onBus[a.Delivery.At.Sequence] = r.now.Add(a.After)
		}
	}
}

// TestHotKeyDoesNotStarveOthers: with one slot busy and others idle, events beyond those that wait
// for the hot key are asked for.
func TestHotKeyDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxWaiting, c.MaxAhead = 8, 8 })
	for i := range uint64(9) {
		r.give(arrival(fmt.Sprint("x", i), i+1, ordered("x")))
	}
	r.claims(nil)
	r.mustRun("x0")
	r.Fetch(r.now)
	if every := r.TickEvery(); every > scanInterval {
		t.Errorf("ticks each %v: nothing else wakes who asks for events of other keys", every)
	}
	r.now = r.now.Add(scanInterval)
	n, ok := r.Fetch(r.now)
	if n == 0 || !ok {
		t.Fatalf("fetches %d (%v) beside an idle slot", n, ok)
	}
	if n, _ := r.Fetch(r.now); n != 0 {
		t.Errorf("fetches %d again at once", n)
	}
	r.give(arrival("y", 50, ordered("y")))
	r.claims(nil)
	r.mustRun("y")
	r.now = r.now.Add(scanInterval)
	if n, _ := r.Fetch(r.now); n != 0 {
		t.Errorf("fetches %d with no slot idle", n)
	}
}

// TestStuckKeyDoesNotStarveOthers: however many events wait for the first of their key, which fails
// for long, the bus comes to deliver what lies behind them. It delivers what is due again before
// what is new, as JetStream does, and no more than it is asked for.
func TestStuckKeyDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	const hot, most = 2_000, 8
	r := newRig(t, func(c *Config) { c.MaxWaiting, c.MaxAhead, c.MaxBatch, c.Concurrency = most, 4*most, most, 4 })
	var again redeliveryQueue
	next := uint64(1)
	for step := 0; ; step++ {
		if step == 4*hot {
			t.Fatalf("after %v, and %d of %d events of the hot key, none of another key was delivered", r.now, next, hot)
		}
		r.pass(100 * time.Millisecond)
		n, _ := r.Fetch(r.now)
		as := again.take(r.now, n)
		for ; len(as) < n && next <= hot; next++ {
			as = append(as, arrival(fmt.Sprint("x", next), next, ordered("x")))
		}
		if len(as) < n {
			return // the next one is another key's
		}
		r.give(as...)
		r.claims(nil)
		for j := r.run(); j != nil; j = r.run() {
			r.Ran(r.now, j, Verdict{Kind: Snooze, After: time.Second, Timed: true})
		}
		r.settle(true)
		for _, a := range r.Answers() {
			if a.Kind == Nak {
				again = append(again, nacked{due: r.now.Add(a.After), seq: a.Delivery.At.Sequence})
			}
		}
	}
}

type nacked struct {
	due time.Time
	seq uint64
}

type redeliveryQueue []nacked

// take takes what is due, at most n.
func (q *redeliveryQueue) take(now time.Time, n int) (as []Arrival) {
	*q = slices.DeleteFunc(*q, func(e nacked) bool {
		due := len(as) < n && !now.Before(e.due)
		if due {
			as = append(as, arrival(fmt.Sprint("x", e.seq), e.seq, ordered("x"), arrivals(9)))
		}
		return due
	})
	return as
}

// TestOrderAcrossConsumerLoss: what only waits is let go when the cursor is rebuilt, and goes again
// in the order in which the new one delivers.
func TestOrderAcrossConsumerLoss(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	r.give(arrival("covered", 3, ordered("y")), arrival("y4", 4, ordered("y")))
	r.claims(nil)
	r.mustRun("covered")
	r.SetWatermark(r.now, bus.Position{Stream: "s@1"})
	r.want("x2 nothing given back", "y4 nothing given back")
	r.give(arrival("x2", 2, ordered("x")))
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before x1, which was nacked here", ids)
	}
	r.SetWatermark(r.now, arrival("", 1).Delivery.At)
	r.give(arrival("x2", 2, ordered("x")))
	if ids := r.claims(nil); len(ids) != 0 {
		t.Fatalf("claimed %v before it is known what became of x1, which the watermark covers", ids)
	}
	r.pass(time.Minute)
	if _, gone := r.lookUp(map[string]dedupe.State{"x1": dedupe.Done}); len(gone) != 0 {
		t.Fatalf("gone: %+v, and it was settled", gone)
	}
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x2"}) {
		t.Fatalf("claimed %v, want x2: x1 is done", ids)
	}
}

// TestNewCursorPassesNothingUnsettled: the bus counts what it has dropped as settled, so a
// watermark may cover what nobody has handled. That is dead-lettered when the cursor was
// lost as well.
func TestNewCursorPassesNothingUnsettled(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	r.SetWatermark(r.now, arrival("", 1).Delivery.At)
	r.give(arrival("x2", 2, ordered("x")))
	r.pass(time.Minute)
	if _, gone := r.lookUp(nil, "x1"); len(gone) != 1 || !gone[0].Kept {
		t.Fatalf("gone: %+v, want x1 with its data", gone)
	}
	if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
		t.Fatalf("claimed %v, want x1", ids)
	}
	if s := r.settleOne(dedupe.GivenUp); s.Reason != ReasonDropped {
		t.Errorf("given up: %+v", s)
	}
}

// TestCopiesAreBounded: redeliveries of one place take the room of one, and copies from elsewhere
// are nacked beyond the bound.
func TestCopiesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.MaxWaiting = 4 })
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	for i := range 100 {
		r.give(arrival("a", 1, arrivals(i+2)))
	}
	for i := range uint64(10) {
		r.give(arrival("a", 10+i))
	}
	if n := len(j.copies); n > 5 {
		t.Errorf("%d deliveries wait for one event, want at most 5", n)
	}
	if err := r.Audit(); err != nil {
		t.Error(err)
	}
	r.succeed(j)
	r.empty()
}

// TestAnswersFromBeforeARebuildAreOld: what was asked before the cursor was made again says nothing
// of what the new one delivers.
func TestAnswersFromBeforeARebuildAreOld(t *testing.T) {
	t.Parallel()
	r := failedHead(t, nil)
	r.SetFloor(r.now, "s@1", 1)
	r.pass(5 * time.Second)
	b := r.Lookups(r.now)
	if len(b.Items) != 1 {
		t.Fatalf("looks up %+v, want x1", b.Items)
	}
	r.pass(time.Second)
	r.SetWatermark(r.now, bus.Position{Stream: "s@2"})
	if gone := r.LookedUp(r.now, b, make([]dedupe.Record, 1), []bool{false}, nil); len(gone) != 0 {
		t.Fatalf("gone: %+v, though the new cursor may deliver it", gone)
	}
}

// TestOrderAcrossOwnLateClaim: a request for the claim that got no answer at first may be applied
// late, and win the claim for nobody. An event that is held by it keeps its place.
func TestOrderAcrossOwnLateClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("x1", 1, ordered("x")))
	b := r.Claims(r.now)
	r.Claimed(r.now, b, nil, errAway)
	r.pass(time.Second)
	r.claims(nil)
	r.Ran(r.now, r.mustRun("x1"), fails("no"))
	r.settleOne(dedupe.Failed)
	r.want("x1 nak failed")
	r.pass(5 * time.Second)
	r.give(arrival("x1", 1, ordered("x"), arrivals(2)), arrival("x2", 2, ordered("x")))
	r.claims(map[string]dedupe.Claim{"x1": {State: dedupe.Held, HeldFor: 20 * time.Second}})
	r.want("x1 nak held")
	if ids := r.claims(nil); len(ids) != 0 {
		t.Errorf("claimed %v before x1", ids)
	}
}

// TestWhatANewCursorPassedWhileItRanIsDeadLettered: an event whose run began under a cursor that
// was rebuilt since, and that the new cursor does not deliver again, is not waited for. The stream
// that came back from an older copy still has it.
func TestWhatANewCursorPassedWhileItRanIsDeadLettered(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		w     bus.Position
		floor uint64
	}{
		"by its watermark": {w: arrival("", 1).Delivery.At},
		"by its floor":     {w: bus.Position{Stream: "s@2"}, floor: 1}, // of the stream that came back
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.give(arrival("x1", 1, ordered("x")))
			r.claims(nil)
			x1 := r.mustRun("x1")
			r.SetWatermark(r.now, c.w)
			r.Ran(r.now, x1, fails("no"))
			r.settleOne(dedupe.Failed)
			r.want("x1 nothing failed")
			r.give(arrival("x2", 2, ordered("x")))
			r.pass(time.Minute)
			r.SetFloor(r.now, c.w.Stream, c.floor)
			if _, gone := r.lookUp(nil); len(gone) != 1 || !gone[0].Kept {
				t.Fatalf("gone: %+v, want x1 with its data", gone)
			}
			if ids := r.claims(nil); !slices.Equal(ids, []string{"x1"}) {
				t.Fatalf("claimed %v, want x1", ids)
			}
			if s := r.settleOne(dedupe.GivenUp); s.Reason != ReasonDropped {
				t.Errorf("given up: %+v", s)
			}
		})
	}
}
