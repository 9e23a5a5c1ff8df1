package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// An ack deadline that somebody has made shorter is kept for what is out already, counted from when
// it was last extended.
func TestAShorterAckWaitIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AckWait = 30 * time.Second })
	r.give(arrival("a", 1))
	r.claims(nil)
	r.mustRun("a")
	r.pass(time.Second)
	r.SetAckWait(2 * time.Second)
	if every := r.TickEvery(); every > time.Second {
		t.Errorf("ticks each %v: the deadline of 2s is not kept with that", every)
	}
	for range 20 {
		before := r.now
		r.Tick(r.now)
		if as := r.Answers(); len(as) != 1 || as[0].Kind != ExtendAckWait {
			t.Fatalf("%v after the change: %+v, want the delivery extended", before.Sub(r.now), as)
		}
		r.now = r.now.Add(2 * time.Second / 3)
	}
	r.SetAckWait(30 * time.Second)
	r.now = r.now.Add(5 * time.Second)
	if r.Tick(r.now); len(r.Answers()) != 0 {
		t.Error("extended sooner than the longer deadline wants")
	}
}

// What is past the deadline that somebody has made shorter may be another's delivery, and is
// told nothing.
func TestWhatIsPastAShorterAckWaitIsStale(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.AckWait = 30 * time.Second })
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.now = r.now.Add(5 * time.Second)
	r.SetAckWait(2 * time.Second)
	r.Tick(r.now)
	if as := r.Answers(); len(as) != 0 {
		t.Errorf("told %+v, want nothing", as)
	}
	r.Ran(r.now, j, fails("no"))
	r.settleOne(dedupe.Failed)
	r.want("a nothing failed")
}

// An event's age is judged by the clock that it was stored by.
func TestAgeIsJudgedByTheClockOfTheBus(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"behind": -2 * time.Hour, "ahead": 2 * time.Hour} {
		r := newRig(t, func(c *Config) { c.MaxAge = time.Hour })
		r.SetBusTime(r.now, r.now.Add(ahead))
		fresh, old := arrival("fresh", 1), arrival("old", 2)
		fresh.Delivery.At.Stored = r.now.Add(ahead)
		old.Delivery.At.Stored = r.now.Add(ahead - time.Hour)
		r.give(fresh, old)
		r.claims(nil)
		r.Ran(r.now, r.mustRun("fresh"), fails("no"))
		r.Ran(r.now, r.mustRun("old"), fails("no"))
		b := r.Settlements(r.now)
		if b.Items[0].Outcome != dedupe.Failed || b.Items[1].Outcome != dedupe.GivenUp || !strings.HasPrefix(b.Items[1].Reason, "too old") {
			t.Errorf("the bus's clock is %s: %+v, want the fresh event tried again and the old one given up", name, b.Items)
		}
	}
}
