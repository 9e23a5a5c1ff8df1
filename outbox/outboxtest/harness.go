package outboxtest

import (
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/outbox"
)

// Harness tells the suite what a store can do. Only New is required.
type Harness struct {
	// New makes an outbox that is empty, has 8 partitions, and stays valid until the test has
	// ended; t.Cleanup closes it.
	New func(t *testing.T) Subject
	// Run runs one case, for example inside a testing/synctest bubble. Nil: as it is.
	Run func(t *testing.T, test func(t *testing.T))
	// Wait lets time pass, for the store and for its clients. Nil: time.Sleep, which serves real
	// stores and bubbles.
	Wait func(t *testing.T, d time.Duration)
	// Lease is the length of a lease that is waited for: long beside a call of the store under
	// load. Zero: 1 s.
	Lease time.Duration
	// Many is how many rows the cases with many rows add. Zero: 1,000.
	Many int
	// Outage is how long the bus is away in the case of a long outage. Zero: 3 s.
	Outage time.Duration
	// Patience is how long the suite waits for what must come, in case it hangs. Zero: 2 min and
	// ten times Lease.
	Patience time.Duration
}

// Subject is one outbox and what can be done to it. What is nil cannot be done; Queue and Add
// are required.
type Subject struct {
	Queue outbox.Queue
	// Add adds and commits rows, of which Event, Seq, At and After matter, and returns their ids.
	Add func(t *testing.T, rows ...outbox.Row) []string
	// Refused adds rows like Add, and returns why none of them was added; nil: they were.
	Refused func(t *testing.T, rows ...outbox.Row) error
	// Late begins to add rows, which have no Seq, before others are added, and returns what commits
	// them after those.
	Late func(t *testing.T, rows ...outbox.Row) (commit func(t *testing.T))
	// Skewed is the same outbox through a client whose clock is off by d.
	Skewed func(t *testing.T, d time.Duration) outbox.Queue
	// Fault arms a fault of the n-th call, from 0, that the store makes to its driver from
	// now on, counting only calls on behalf of the suite's own. With applied it is carried
	// out and its answer is lost; else it fails unheard. fired reports whether it has come to
	// that, and disarms it.
	Fault func(n int, applied bool) (fired func() bool)
}

// Partitions is how many the outboxes have that Harness.New makes.
const Partitions = 8

func (h Harness) withDefaults() Harness {
	if h.Run == nil {
		h.Run = func(t *testing.T, test func(t *testing.T)) { t.Helper(); test(t) }
	}
	if h.Wait == nil {
		h.Wait = func(_ *testing.T, d time.Duration) { time.Sleep(d) }
	}
	fill(&h.Lease, time.Second)
	fill(&h.Many, 1_000)
	fill(&h.Outage, 3*time.Second)
	fill(&h.Patience, max(2*time.Minute, 10*h.Lease))
	return h
}

func fill[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// promise is a case of the suite.
type promise struct {
	name   string
	keeps  func(t *testing.T, k *kit)
	unless bool // the harness cannot do what the case needs
}

// Run holds a store to the contract of outbox.Queue, of outbox.Admin if it is one, and of
// outbox.Schedules if it is one of these too.
func Run(t *testing.T, h Harness) {
	t.Helper()
	run(t, h, func(able *kit) []promise {
		all := slices.Concat(adding(), reading(), leasing(), settling(), hooked(able))
		if able.admin != nil {
			all = append(all, administering()...)
		}
		if _, is := able.queue.(outbox.Schedules); is && able.admin != nil {
			all = append(all, scheduling(able)...)
		}
		return all
	})
}

// RunDrainer holds a Drainer on the store to what it promises.
func RunDrainer(t *testing.T, h Harness) {
	t.Helper()
	run(t, h, func(able *kit) []promise {
		return slices.Concat(draining(able), drainingDue(able), losing(able), failing(able))
	})
}

// run tries the promises for what an outbox of the harness is able to do.
func run(t *testing.T, h Harness, promises func(able *kit) []promise) {
	t.Helper()
	if h.New == nil {
		t.Fatal("outboxtest: Harness.New is nil: tell how to make an outbox")
	}
	h = h.withDefaults()
	var able *kit
	h.Run(t, func(t *testing.T) { able = newKit(t, h) })
	for _, p := range promises(able) {
		if p.unless {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			h.Run(t, func(t *testing.T) { p.keeps(t, newKit(t, h)) })
		})
	}
}
