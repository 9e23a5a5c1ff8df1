package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// simulation is everything that a seed plays with.
type simulation struct {
	sc   scenario
	mut  mutation
	rand *rand.Rand
	log  trace

	elapsed time.Duration
	queue   queue
	serial  uint64
	steps   int
	over    bool
	expired bool // every mark is

	bus       *membus.Bus
	store     *memdedupe.Store
	rows      *rows // the store as processes see it
	busClock  clock
	storeTime clock
	claims    dedupe.Claimer
	publisher bus.Publisher

	publishings int // under way or planned

	workers []*process // the present life of each
	started int
	skews   []time.Duration
	journal journal
	ledger  ledger
	faults  faults

	violations []Violation
}

func newSimulation(seed uint64, o Options) (*simulation, error) {
	w := &simulation{mut: o.mutation, rand: rand.New(rand.NewPCG(seed, 0x6f6e63656973680a))}
	w.log = newTrace(o.Trace)
	w.sc = draw(w.rand)
	if w.mut.scene != nil {
		w.mut.scene(&w.sc)
	}
	skew := func() time.Duration { return between(w.rand, -5*time.Minute, 5*time.Minute) }
	w.busClock = clock{sim: w, skew: skew()}
	w.storeTime = clock{sim: w, skew: skew()}
	for range w.sc.workers {
		w.skews = append(w.skews, skew())
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	w.ledger = newLedger(w)
	w.journal = newJournal(w)
	return w, nil
}

// open makes bus and store, and what a mutation puts in front of them.
func (w *simulation) open() (err error) {
	w.bus, err = membus.New(&membus.Options{Now: w.busClock.now, Streams: []membus.Stream{
		{Name: "shop", Topics: []string{pattern}, DuplicateWindow: w.sc.window, MaxUnsettled: w.sc.maxUnsettled},
		{Name: "dead", Topics: []string{"dead.>"}},
	}})
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	w.store, err = memdedupe.New(&memdedupe.Options{Now: w.storeTime.now, MaxKeys: 10_000})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	w.rows = newRows(w, w.store)
	w.publisher, w.claims = w.bus, w.rows
	if w.sc.marks {
		w.claims = newMarker(w.rows, w.mut.forgetRefusals)
	}
	if w.mut.publisher != nil {
		w.publisher = w.mut.publisher(w.publisher)
	}
	if w.mut.store != nil {
		w.claims = w.mut.store(w.claims)
	}
	return nil
}

// after has f happen d from now. A nil l is nobody's: it happens whoever has died meanwhile.
func (w *simulation) after(l *process, d time.Duration, f func()) {
	w.serial++
	w.queue.push(step{at: w.elapsed + d, serial: w.serial, process: l, do: f})
}

// run plays until the given time, or until done says so.
func (w *simulation) run(until time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= until && !w.over {
		w.advance(w.queue.pop())
	}
	w.elapsed = max(w.elapsed, until)
}

func (w *simulation) advance(s step) {
	w.elapsed = max(w.elapsed, s.at)
	if l := s.process; l != nil {
		if l.over {
			return
		}
		if l.thaw > w.elapsed {
			s.at = l.thaw
			w.queue.push(s)
			return
		}
	}
	w.steps++
	if w.faults.due(w) {
		w.faults.inject(w)
		w.queue.push(s) // it may have been meant for a process that is no more
		return
	}
	s.do()
}

// violate notes that a promise was broken.
func (w *simulation) violate(rule, format string, args ...any) {
	v := Violation{Rule: rule, At: w.elapsed, Text: fmt.Sprintf(format, args...)}
	w.log.note(w.elapsed, "VIOLATION", rule, v.Text, 0)
	w.violations = append(w.violations, v)
	w.over = w.over || len(w.violations) >= maxViolations
}

func (w *simulation) note(what, who, about string, n int64) {
	w.log.note(w.elapsed, what, who, about, n)
}

func (w *simulation) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

func (w *simulation) between(low, high time.Duration) time.Duration {
	return between(w.rand, low, high)
}

func (w *simulation) result() Result {
	r := Result{Violations: w.violations, Steps: w.steps, Trace: w.log.hash, Faults: w.faults.count, Took: w.elapsed}
	for _, t := range w.journal.events {
		r.Effects += len(t.effects)
		r.Repeats += max(0, len(t.effects)-1)
		r.Letters += len(t.letters)
	}
	return r
}
