package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
)

const (
	group   = "g"
	pattern = "shop.>"
	deadTo  = "dead.g"
	ttl     = 4 * time.Hour // longer than any simulation lasts
)

// scenario is what a seed makes of the simulation before it starts.
type scenario struct {
	protocol  protocol.Config
	marks     bool // mode seen/mark
	transact  bool // mode transactional
	unkept    bool // the store keeps no watermarks
	fromTime  bool // a new group starts at the time at which the simulation begins, and not at the earliest event
	processes int
	calls     int // of one kind that a process has under way at once

	events       int
	keys         []string      // of the events, at random; empty: none
	publishing   time.Duration // over how long
	faulty       time.Duration // for how long there are faults
	window       time.Duration // of the bus, for message ids
	maxUnsettled int
	drain        time.Duration
	sharing      sharing
	drift        int64
	seenTells    bool // the store says in Seen that it has no room
	picks        bool // the success of one event is refused until all others are done

	outage, throttling span // runs that begin then do not reach the receiver, or are throttled

	faults    [faultKinds]bool
	faultRate float64 // of a step that a fault comes before it
	callTrouble,
	busTrouble float64 // of calls, and of messages to the bus, that go wrong
	expire bool // at the end all marks expire, and the cursor is deleted
}

func draw(r *rand.Rand) scenario {
	s := scenario{
		processes: 2 + r.IntN(3), calls: 1 + r.IntN(2), marks: r.IntN(12) == 0,
		events: 6 + r.IntN(20), keys: pick(r, []string{"", "", "x", "y"}, []string{"", "x", "y", "z"}, []string{"x"}, []string{"x", "y", "z"}), publishing: between(r, 5*time.Second, 40*time.Second),
		window: pick(r, -1, 3*time.Second, 2*time.Minute), maxUnsettled: pick(r, 4, 16, 0),
		drain: between(r, 5*time.Second, 25*time.Second), expire: r.IntN(4) == 0,
	}
	s.faulty = s.publishing + between(r, 10*time.Second, 60*time.Second)
	s.protocol = drawConfig(r, s.marks)
	if s.transact = !s.marks && r.IntN(3) == 0; s.transact {
		s.protocol.RunLimit = between(r, s.protocol.Lease/4, 2*s.protocol.Lease)
		s.protocol.Commit = between(r, s.protocol.Lease/8, s.protocol.Lease/2)
	}
	s.unkept = r.IntN(8) == 0
	s.fromTime = r.IntN(8) == 0 && !s.unkept // without a store each process would have to read the time again, whatever the clock did
	if r.IntN(3) == 0 {
		s.drift = int64(r.IntN(200))
	}
	s.drawFaults(r)
	s.seenTells, s.picks = r.IntN(2) == 0, r.IntN(4) == 0
	s.outage, s.throttling = s.drawSpan(r), s.drawSpan(r)
	return s
}

// drawSpan draws a time in which something is wrong with the receiver, in one of three scenarios.
func (s *scenario) drawSpan(r *rand.Rand) span {
	if r.IntN(3) > 0 {
		return span{}
	}
	from := between(r, 0, s.faulty)
	return span{from: from, to: from + between(r, time.Second, 40*time.Second)}
}

// reachable reports whether the receiver takes all that it is given, in the whole scenario.
func (s *scenario) reachable() bool { return s.outage == span{} && s.throttling == span{} }

func drawConfig(r *rand.Rand, marks bool) protocol.Config {
	lease := between(r, 4*time.Second, 20*time.Second)
	concurrency := 1 + r.IntN(4)
	return protocol.Config{
		Group: group, Concurrency: concurrency, MaxUnmarked: concurrency + pick(r, 0, 0, 1, 4),
		MaxAhead: bound(r), MaxBatch: bound(r), MaxWaiting: bound(r), MaxBytes: pick(r, 0, 0, 1, 600, 2000), MaxAttempts: 1 + r.IntN(4), MaxCrashes: 3 + r.IntN(3),
		Backoff: protocol.Backoff{Base: between(r, 100*time.Millisecond, 3*time.Second), Max: 8 * time.Second},
		Lease:   lease, AckWait: between(r, lease/2, 2*lease), RunLimit: between(r, lease, 3*lease),
		TTL: ttl, GiveUp: between(r, 2*time.Minute, 6*time.Minute), ArrivalsAreAttempts: marks,
	}
}

// bound draws an internal bound: so small that it is met all the time, or what it is by default.
func bound(r *rand.Rand) int { return pick(r, 0, 1, 2, 3, 4) }

func (s *scenario) drawFaults(r *rand.Rand) {
	level := r.IntN(6)
	if level == 0 {
		return // without faults nothing is repeated
	}
	for k := range s.faults {
		s.faults[k] = r.IntN(2) == 0
	}
	s.faultRate = float64(level) / 400
	if r.IntN(4) > 0 {
		s.callTrouble = r.Float64() * 0.15
	}
	if r.IntN(4) > 0 {
		s.busTrouble = r.Float64() * 0.15
	}
	if r.IntN(8) == 0 {
		s.makeRestless()
		s.faultRate = 0.01
	}
}

// makeRestless makes it a scenario in which things happen to the stream, and to the
// group's place in it.
func (s *scenario) makeRestless() {
	s.faults = [faultKinds]bool{cursorGone: true, restore: true, clockStep: true, drop: true, rolling: true}
	s.faultRate = 0.02
	s.callTrouble, s.busTrouble = 0, 0
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// transactionLease is for how long a transaction renews its claim as it begins.
func (s *scenario) transactionLease() time.Duration { return s.protocol.RunLimit + s.protocol.Commit }

// crashy: a process may end, or lose its lease, for another reason than an event that kills it.
func (s *scenario) crashy() bool {
	return s.callTrouble > 0 || s.faults[crash] || s.faults[freeze] || s.faults[storeAway] || s.faults[storeSlow] || s.faults[cutOff] || s.faults[rolling] ||
		s.faults[picky]
}
