package simulation

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// Options of a Run. The zero value means the defaults.
type Options struct {
	// Trace gets a line for each step. Nil: none.
	Trace io.Writer

	mutation mutation
}

// Violation is a promise that was broken.
type Violation struct {
	// Rule names the promise, as in the package's documentation.
	Rule string
	// At is how long the simulation had run.
	At   time.Duration
	Text string
}

// String is the violation in one line.
func (v Violation) String() string { return fmt.Sprintf("%s at %v: %s", v.Rule, v.At, v.Text) }

// Result of a Run.
type Result struct {
	Violations []Violation
	// Steps that were made, and a hash over all of them: two runs of one seed have the same.
	Steps int
	Trace uint64
	// Effects, Letters and Faults there were, and Repeats among the effects.
	Effects, Repeats, Letters, Faults int
	// Owners there were of the partition, if the topic is one.
	Owners int
	// Took is how long it lasted in virtual time.
	Took time.Duration
}

// maxViolations ends a run: what comes after is mostly the same again.
const maxViolations = 20

// Run plays one seed. A nil o means the defaults.
func Run(seed uint64, o *Options) Result {
	var opts Options
	if o != nil {
		opts = *o
	}
	sim, err := newSimulation(seed, opts)
	if err != nil {
		return Result{Violations: []Violation{{Rule: "setup", Text: err.Error()}}}
	}
	sim.play()
	return sim.result()
}

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

	processes []*process // the present one in each place
	started   int
	skews     []time.Duration
	journal   journal
	ledger    ledger
	faults    faults
	owned     *ownership // nil: all processes read the topic

	violations []Violation
}

func newSimulation(seed uint64, o Options) (*simulation, error) {
	sim := &simulation{mut: o.mutation, rand: rand.New(rand.NewPCG(seed, 0x6f6e63656973680a))}
	sim.log = newTrace(o.Trace)
	sim.sc = draw(sim.rand)
	if sim.mut.scene != nil {
		sim.mut.scene(&sim.sc)
	}
	if isPartitioned(seed) {
		sim.sc.partition(sim)
		sim.owned = newOwnership(sim)
	}
	skew := func() time.Duration { return between(sim.rand, -5*time.Minute, 5*time.Minute) }
	sim.busClock = clock{sim: sim, skew: skew()}
	sim.storeTime = clock{sim: sim, skew: skew()}
	for range sim.sc.processes {
		sim.skews = append(sim.skews, skew())
	}
	if err := sim.openServers(); err != nil {
		return nil, err
	}
	sim.ledger = newLedger(sim)
	sim.journal = newJournal(sim)
	return sim, nil
}

// openServers makes bus and store, and what a mutation puts in front of them.
func (sim *simulation) openServers() (err error) {
	sim.bus, err = membus.New(&membus.Options{Now: sim.busClock.now, Streams: []membus.Stream{
		{Name: "shop", Topics: []string{pattern}, DuplicateWindow: sim.sc.window, MaxUnsettled: sim.sc.maxUnsettled},
		{Name: "dead", Topics: []string{"dead.>"}},
	}})
	if err != nil {
		return fmt.Errorf("bus: %w", err)
	}
	sim.store, err = memdedupe.New(&memdedupe.Options{Now: sim.storeTime.now, MaxKeys: 10_000})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	sim.rows = newRows(sim, sim.store)
	sim.publisher, sim.claims = sim.bus, sim.rows
	if sim.sc.marks {
		sim.claims = newMarker(sim.rows, sim.mut.forgetRefusals)
	}
	if sim.mut.publisher != nil {
		sim.publisher = sim.mut.publisher(sim.publisher)
	}
	if sim.mut.store != nil {
		sim.claims = sim.mut.store(sim.claims)
	}
	return nil
}
