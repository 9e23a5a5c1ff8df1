package protocol

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func unavailable(text string) Verdict { return Verdict{Kind: Unavailable, Own: Failure, Error: text} }

func refusedByAll(text string) Verdict {
	return Verdict{Kind: Unavailable, Own: Permanent, Error: text}
}

func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("event", i)
	}
	return ids
}

// perSecond takes n events in each second, and throttles the rest.
func (s *shop) perSecond(n int, asks Verdict) func(string) Verdict {
	second, taken := time.Time{}, 0
	return func(string) Verdict {
		if now := s.now.Truncate(time.Second); !now.Equal(second) {
			second, taken = now, 0
		}
		if taken++; taken > n {
			return asks
		}
		return Verdict{}
	}
}

func TestThrottledEventsAreAllHandledAndNoneIsDead(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]Verdict{
		"asks for a second": {Kind: Throttled, Timed: true, After: time.Second, Error: "429"},
		"says nothing":      {Kind: Throttled, Error: "429"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, func(c *Config) { c.Concurrency = 16 })
			s.answer = s.perSecond(5, asks)
			s.publish(many(150)...)
			for end := s.now.Add(10 * time.Minute); len(s.marked) < 150 && s.now.Before(end); {
				s.trade(time.Second)
			}
			if len(s.marked) != 150 || len(s.dead) != 0 || s.Allowed() == 16 {
				t.Errorf("%d of 150 are handled, %d are dead, %d may run at once", len(s.marked), len(s.dead), s.Allowed())
			}
			if n := len(s.starts); n > 600 {
				t.Errorf("%d runs of 150 events: the receiver is not spared", n)
			}
			s.answer = func(string) Verdict { return Verdict{} }
			for i := range 200 {
				s.publish(fmt.Sprint("later", i))
			}
			s.trade(5 * time.Minute)
			if s.Allowed() != 16 || len(s.marked) != 350 {
				t.Errorf("%d may run at once when it throttles no more, %d of 350 are handled", s.Allowed(), len(s.marked))
			}
		})
	}
}

// A receiver that has throttled everything for a minute, and takes everything again, soon
// gets everything.
func TestPaceReturnsInHalfAMinute(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.Concurrency = 16 })
	throttles := true
	s.answer = func(string) Verdict {
		if throttles {
			return Verdict{Kind: Throttled, Timed: true, After: time.Second, Error: "429"}
		}
		return Verdict{}
	}
	s.publish(many(400)...)
	s.trade(time.Minute)
	if s.pace.gap != maxGap {
		t.Fatalf("the gap is %v", s.pace.gap)
	}
	throttles = false
	s.trade(40 * time.Second)
	if len(s.marked) != 400 {
		t.Errorf("%d of 400 are handled 40 s after the end of throttling, and the gap is %v", len(s.marked), s.pace.gap)
	}
}

// Successes alone would leave the pace slow for as long as no events arrive.
func TestPaceRecoversWhenNothingIsLeftToDo(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.Concurrency = 16 })
	s.answer = func(id string) Verdict {
		if s.runs[id] < 6 {
			return Verdict{Kind: Throttled, Error: "429"}
		}
		return Verdict{}
	}
	s.publish("a")
	for end := s.now.Add(time.Hour); !s.marked["a"] && s.now.Before(end); {
		s.trade(time.Second)
		if !s.marked["a"] && s.runs["a"] >= 5 && s.Allowed() != 0 {
			t.Fatalf("%d may run at once while an event waits for its retry", s.Allowed())
		}
	}
	if n := s.Allowed(); n == 16 || s.runs["a"] != 6 {
		t.Fatalf("%d may run at once after %d runs", n, s.runs["a"])
	}
	s.trade(recoverAfter + time.Second)
	if n := s.Allowed(); n != 16 {
		t.Errorf("%d may run at once when there has been nothing to do for %v", n, recoverAfter)
	}
}

// Nothing to do says nothing of a receiver that is unavailable.
func TestUnavailableReceiverDoesNotRecoverByItself(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.GiveUp = time.Minute })
	s.answer = func(string) Verdict { return unavailable("refused") }
	s.publish("a")
	s.trade(10 * time.Minute)
	if _, _, ok := s.Unavailable(); !ok || len(s.dead) != 1 || s.Stats().InFlight+s.Stats().Retrying != 0 {
		t.Errorf("unavailable: %v, dead: %v, %+v", ok, s.dead, s.Stats())
	}
}

func TestReceiverThatIsUnavailableForHalfAnHourCostsNoAttempt(t *testing.T) {
	t.Parallel()
	for _, events := range []int{1, 4, 20, 200} {
		for name, verdict := range map[string]Verdict{"no answer": unavailable("refused"), "401": refusedByAll("401")} {
			t.Run(fmt.Sprint(events, " events, ", name), func(t *testing.T) {
				t.Parallel()
				s := openShop(t, func(c *Config) { c.Concurrency = 16 })
				s.step = 250 * time.Millisecond
				s.answer = func(string) Verdict { return verdict }
				began := s.now
				s.publish(many(events)...)
				s.trade(30 * time.Minute)
				if since, reason, ok := s.Unavailable(); !ok || since.Sub(began) > time.Minute || reason != verdict.Error {
					t.Errorf("unavailable since %v (%v, %s), want soon after %v", since, ok, reason, began)
				}
				if n := len(s.starts); n > 300 || n < 60 {
					t.Errorf("%d runs in half an hour, want probes", n)
				}
				s.answer = func(string) Verdict { return Verdict{} }
				back := s.now
				for s.trade(time.Second); len(s.marked) < events && s.now.Sub(back) < time.Minute; {
					s.trade(time.Second)
				}
				if len(s.marked) != events || len(s.dead) != 0 {
					t.Errorf("%d of %d are handled a minute later, %d are dead", len(s.marked), events, len(s.dead))
				}
				for id, c := range s.claims {
					if c.Attempts != 0 {
						t.Errorf("%s has used %d attempts", id, c.Attempts)
					}
				}
			})
		}
	}
}

// While the receiver is unavailable one event runs at a time, with ever longer gaps between.
func TestProbesBecomeRarer(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.Concurrency = 16 })
	s.answer = func(string) Verdict { return unavailable("refused") }
	s.publish(many(100)...)
	s.trade(2 * time.Minute)
	var gaps []time.Duration
	for i := 17; i < len(s.starts); i++ {
		gaps = append(gaps, s.starts[i].Sub(s.starts[i-1]))
	}
	if len(gaps) < 8 {
		t.Fatalf("%d probes in two minutes", len(gaps))
	}
	for i, g := range gaps {
		if most := min(firstProbe<<(i+1), maxGap); g < most*3/4-time.Second || g > most*3/2 {
			t.Errorf("gap %d is %v, want about %v", i, g, most)
		}
	}
}

// Events that always fail do not keep others from being tried, however early they lie.
func TestProbesFindTheGoodEventBehindBadOnes(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.Concurrency = 4 })
	s.answer = func(id string) Verdict {
		if strings.HasPrefix(id, "bad") {
			return refusedByAll("404")
		}
		return Verdict{}
	}
	for i := range 20 {
		s.publish(fmt.Sprint("bad", i))
	}
	s.publish("good")
	s.trade(10 * time.Minute)
	if !s.marked["good"] {
		t.Errorf("the good event was never tried in %d runs", len(s.starts))
	}
}

func TestOneBadEventAmongGoodOnesIsDeadLettered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict Verdict
		runs    int
		reason  string
	}{
		"502": {unavailable("502"), 4, "failed 3 times, the last time with: 502"},
		"404": {refusedByAll("404"), 2, "permanent: 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, nil)
			s.answer = func(id string) Verdict {
				if id == "bad" {
					return c.verdict
				}
				return Verdict{}
			}
			s.publish("first", "bad")
			for i := range 1200 {
				s.publish(fmt.Sprint("good", i))
				s.trade(50 * time.Millisecond)
			}
			if s.runs["bad"] != c.runs || s.dead["bad"] != c.reason || len(s.dead) != 1 {
				t.Errorf("%d runs of the bad one, dead: %v, want %d and %q", s.runs["bad"], s.dead, c.runs, c.reason)
			}
			if len(s.marked) != 1201 {
				t.Errorf("%d of 1201 good ones are handled", len(s.marked))
			}
		})
	}
}

// A success from before the event's last failure proves nothing of what came after it.
func TestSuccessBeforeTheOutageBlamesNoEvent(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.answer = func(string) Verdict { return Verdict{} }
	s.publish("first")
	s.trade(time.Second)
	s.answer = func(string) Verdict { return refusedByAll("401") }
	s.publish(many(3)...)
	s.trade(time.Hour)
	if len(s.dead) != 0 {
		t.Errorf("dead: %v", s.dead)
	}
	s.answer = func(string) Verdict { return Verdict{} }
	s.trade(time.Minute)
	if len(s.marked) != 4 {
		t.Errorf("%d of 4 are handled", len(s.marked))
	}
}

// A failure is nobody's while others fail too, though the event failed before, and others
// succeeded in between.
func TestSecondOutageBlamesNoEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1), arrival("b", 2))
	r.claims(nil)
	a, b := r.mustRun("a"), r.mustRun("b")
	r.Ran(r.now, a, refusedByAll("401"))
	r.settleOne(dedupe.NotBegun)
	r.now = r.now.Add(time.Second)
	r.succeed(b) // it began before a's failure, and proves nothing
	r.give(arrival("c", 3), arrival("d", 4))
	r.claims(nil)
	c, d := r.mustRun("c"), r.mustRun("d")
	r.succeed(c)
	r.Ran(r.now, d, refusedByAll("401")) // the second outage begins
	r.settleOne(dedupe.NotBegun)
	r.give(arrival("a", 1, arrivals(2)))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), refusedByAll("401"))
	r.settleOne(dedupe.NotBegun)
}

func TestNothingIsJudgedBeforeTheFirstSuccess(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.answer = func(id string) Verdict {
		if id == "broken" {
			return fails("its own")
		}
		return refusedByAll("404")
	}
	s.publish("a", "b", "broken")
	s.trade(time.Hour)
	if len(s.dead) != 1 || s.dead["broken"] == "" {
		t.Errorf("dead: %v, want the broken one alone", s.dead)
	}
}

func TestDeferredEventIsGivenUpWhenItIsTooOld(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Verdict{
		"throttled":   {Kind: Throttled, Timed: true, After: 5 * time.Minute, Error: "429"},
		"unavailable": unavailable("refused"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, func(c *Config) { c.GiveUp = time.Hour })
			s.answer = func(string) Verdict { return v }
			s.publish("a")
			s.trade(50 * time.Minute)
			if len(s.dead) != 0 {
				t.Fatalf("given up early: %v", s.dead)
			}
			s.trade(20 * time.Minute)
			if want := "too old: not done 1h0m0s after its first claim: " + v.Error; s.dead["a"] != want {
				t.Errorf("dead: %q, want %q", s.dead["a"], want)
			}
		})
	}
}

// What has not begun when the receiver becomes unavailable gives its claim back, and waits here for
// a lease at most, so that another process may have it.
func TestUnavailableReceiverLeavesNoClaims(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Concurrency, c.MaxUnmarked = 5, 10 })
	for i, id := range many(8) {
		r.give(arrival(id, uint64(i+1)))
	}
	r.claims(nil)
	var running []*Job
	for range 5 {
		running = append(running, r.run())
	}
	for _, j := range running {
		r.Ran(r.now, j, unavailable("refused"))
	}
	if ss := r.settle(true); len(ss) != 8 {
		t.Fatalf("%d settlements, want all claims set free", len(ss))
	}
	r.Answers()
	if ids := r.claims(nil); len(ids) != 0 || r.Stats().InFlight != 3 {
		t.Errorf("claimed %v at once, %d in flight", ids, r.Stats().InFlight)
	}
	if n, _ := r.Fetch(r.now); n != 0 {
		t.Errorf("asks for %d events", n)
	}
	r.pass(2 * time.Second)
	if ids := r.claims(nil); len(ids) != 1 {
		t.Fatalf("claimed %v as probes, want one", ids)
	}
	j := r.run()
	if ids := r.claims(nil); len(ids) != 0 {
		t.Errorf("claimed %v beside the probe", ids)
	}
	r.Ran(r.now, j, unavailable("refused"))
	r.settleOne(dedupe.NotBegun)
	r.Answers()
	for range 5 {
		r.pass(10 * time.Second)
	}
	naks := 0
	for _, a := range r.Answers() {
		if a.Kind == Nak && a.Outcome == GivenBack {
			naks++
		}
	}
	if naks != 2 {
		t.Errorf("%d were given back after a lease, want both that wait", naks)
	}
	r.empty()
}

// TestAProbeNeedsRoomInTheGate: while the receiver is unavailable, no more runs are inside than the
// gate has room for, also beside one that hangs.
func TestAProbeNeedsRoomInTheGate(t *testing.T) {
	t.Parallel()
	for room, probes := range map[int]bool{1: false, 2: true, -1: true} {
		r := newRig(t, func(c *Config) { c.Concurrency = 6 })
		for i, id := range many(6) {
			r.give(arrival(id, uint64(i+1)))
		}
		r.claims(nil)
		r.run() // hangs
		var running []*Job
		for range 5 {
			running = append(running, r.run())
		}
		for _, j := range running {
			r.Ran(r.now, j, unavailable("refused"))
		}
		r.settle(true)
		r.SetCapacity(r.now, room)
		r.pass(2 * time.Second)
		r.give(arrival("probe", 10))
		r.claims(nil)
		if j := r.run(); (j != nil) != probes {
			t.Errorf("with room for %d, and one inside, a probe begins: %v", room, j != nil)
		}
	}
}

func TestDrainWhileUnavailableEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	s.answer = func(string) Verdict { return unavailable("refused") }
	s.publish(many(20)...)
	s.trade(time.Minute)
	s.Drain(s.now)
	s.claimAll()
	s.settleAll()
	s.tellAll()
	for n, ok := s.Fetch(s.now); ok; n, ok = s.Fetch(s.now) {
		s.deliver(n)
	}
	s.tellAll()
	if !s.Drained() {
		t.Errorf("not drained: %+v", s.Stats())
	}
}

// Nothing of a key runs before an event of it that is put off.
func TestOrderHoldsWhileHeadIsDeferred(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Verdict{
		"throttled": {Kind: Throttled, Timed: true, After: time.Second, Error: "429"}, "unavailable": unavailable("refused"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.give(arrival("x1", 1, ordered("x")), arrival("x2", 2, ordered("x")))
			r.claims(nil)
			r.Ran(r.now, r.mustRun("x1"), v)
			r.settleOne(dedupe.NotBegun)
			r.want("x1 nak deferred")
			r.pass(2 * time.Second)
			if ids := r.claims(nil); len(ids) != 0 {
				t.Fatalf("claimed %v before x1 is back", ids)
			}
			r.give(arrival("x1", 1, ordered("x"), arrivals(2)))
			r.claims(nil)
			r.succeed(r.mustRun("x1"))
			r.claims(nil)
			r.succeed(r.mustRun("x2"))
			r.empty()
		})
	}
}

// Where arrivals stand for attempts, those that this process put off do not.
func TestDeferredArrivalsAreNoAttempts(t *testing.T) {
	t.Parallel()
	s := openShop(t, func(c *Config) { c.ArrivalsAreAttempts = true })
	s.answer = func(string) Verdict { return unavailable("refused") }
	s.publish("a")
	s.trade(10 * time.Minute)
	if s.came["a"] < 10 {
		t.Fatalf("%d arrivals", s.came["a"])
	}
	s.answer = func(string) Verdict { return fails("no") }
	ran := s.runs["a"]
	s.trade(10 * time.Minute)
	if n := s.runs["a"] - ran; n != 3 || s.dead["a"] != "failed 3 times, the last time with: no" {
		t.Errorf("%d more runs, dead: %v, want three", n, s.dead)
	}
}

func TestSetbacksAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for i := range 3 * maxSetbacks {
		r.pace.setbacks.of(r.now.Add(time.Duration(i)), dedupe.Key{ID: fmt.Sprint(i)})
	}
	if n := len(r.pace.setbacks); n > maxSetbacks {
		t.Errorf("%d are remembered", n)
	}
	if r.pace.setbacks[dedupe.Key{ID: fmt.Sprint(3*maxSetbacks - 1)}] == nil {
		t.Error("the latest is forgotten")
	}
}
