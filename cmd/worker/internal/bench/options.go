package bench

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/commandline"
)

// What Options mean by zero.
const (
	DefaultEvents      = 20_000
	DefaultSize        = 256
	DefaultConcurrency = 16
)

// Where events are.
const (
	// BusNATS is a NATS server.
	BusNATS = "nats"
	// BusMemory is the memory of this process.
	BusMemory = "memory"
)

const (
	// defaultPatience is how long nothing may happen before a bench has stalled.
	defaultPatience = 30 * time.Second
	// leaseLength is that of claims, and how long deliveries may be unsettled.
	leaseLength = 30 * time.Second
)

// Bounds of Options: each process has some words for each event.
const (
	maxEvents      = 5_000_000
	maxProcesses   = 100
	maxConcurrency = 100_000
	maxSize        = 64 << 20
	maxRate        = 10_000_000
	maxRuns        = 1_000
	maxDuration    = 24 * time.Hour // of a measurement with a rate
)

// Options of Run. The zero value lacks Command, and is refused unless the bus is BusMemory.
type Options struct {
	// NATS is the URL of the server. Empty: a server of its own in a temporary directory, which
	// syncs every write.
	NATS string
	// Mongo is the URI of the MongoDB, for testbed.StoreMongo.
	Mongo string
	// Bus is BusNATS or BusMemory. Empty: BusNATS.
	Bus string
	// Store is one of testbed.StoreKV, StoreMongo and StoreMemory. Empty: testbed.StoreKV, or
	// testbed.StoreMemory with BusMemory.
	Store string
	// Stage is one of Stages. Empty: StageAll.
	Stage string
	// Events are how many are measured in each measurement. Zero: DefaultEvents. A tenth of that is
	// published before them as a warm-up, at least 10 and at most 5,000.
	Events int
	// Size is the bytes of data of an event, at least 16. Zero: DefaultSize.
	Size int
	// Rate is how many events a second are due. Zero: as fast as it goes.
	Rate float64
	// Keys are how many order keys take turns. Zero: events have none.
	Keys int
	// Duplicates is the share of events that are published twice, 0 to 1.
	Duplicates float64
	// Processes is how many worker processes consume. Zero: 1.
	Processes int
	// Concurrency of each of them, in the stage exactly-once. Zero: DefaultConcurrency.
	Concurrency int
	// Baseline measures a loop over the plain clients as well, in turns with this library.
	Baseline bool
	// Runs is how often each measurement is made. Zero: 1.
	Runs int
	// Seed decides which events are published twice.
	Seed uint64
	// Command is the program, and its arguments, that comes to call Work with its standard input
	// and output. Server is the one that comes to call testbed.Serve. Required unless the bus is
	// BusMemory, or NATS is set.
	Command, Server []string
	// Output is told how it goes. Nil: nobody is. Live: it is a terminal.
	Output io.Writer
	Live   bool
	// Usage samples CPU and memory of the processes, for Result.Page.
	Usage bool

	patience time.Duration
}

// Validate reports what Run would refuse.
func (o *Options) Validate() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults returns o with defaults filled in, or what is wrong with it.
func (o *Options) withDefaults() (*Options, error) {
	c := *cmp.Or(o, &Options{})
	c.Bus, c.Stage = cmp.Or(c.Bus, BusNATS), cmp.Or(c.Stage, StageAll)
	store := testbed.StoreKV
	if c.Bus == BusMemory {
		store = testbed.StoreMemory
	}
	c.Store = cmp.Or(c.Store, store)
	c.Events, c.Size, c.Processes, c.Runs = cmp.Or(c.Events, DefaultEvents), cmp.Or(c.Size, DefaultSize), cmp.Or(c.Processes, 1), cmp.Or(c.Runs, 1)
	c.Concurrency, c.patience = cmp.Or(c.Concurrency, DefaultConcurrency), cmp.Or(c.patience, defaultPatience)
	if c.Output == nil {
		c.Output, c.Live = io.Discard, false
	}
	err := c.checkServers()
	if err == nil {
		err = c.checkLoad()
	}
	if err == nil {
		_, _, err = c.stages()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: bench: %w", commandline.ErrUsage, err)
	}
	return &c, nil
}

func (o *Options) checkServers() error {
	switch {
	case o.Bus != BusNATS && o.Bus != BusMemory:
		return fmt.Errorf("the bus %q is none of %q", o.Bus, []string{BusMemory, BusNATS})
	case o.Bus == BusMemory && o.Store != testbed.StoreMemory:
		return fmt.Errorf("the bus memory goes with the store memory, and the store is %s", o.Store)
	case o.Bus == BusMemory && o.NATS != "":
		return fmt.Errorf("the bus memory needs no NATS server: leave its URL out, or choose the bus nats")
	case o.Bus == BusMemory && o.Baseline:
		return fmt.Errorf("the baseline is a loop over the client of NATS, and the bus is memory: choose the bus nats")
	case o.Store == testbed.StoreMemory && o.Processes > 1:
		return fmt.Errorf("processes are %d: the store memory is that of 1 process", o.Processes)
	case o.Bus == BusNATS && len(o.Command) == 0:
		return fmt.Errorf("Options.Command is empty: name the program that calls Work")
	case o.Bus == BusNATS && o.NATS == "" && len(o.Server) == 0:
		return fmt.Errorf("Options.NATS and Options.Server are empty: name a server, such as nats://localhost:4222")
	}
	return testbed.CheckStore(o.Store, o.Mongo)
}

func (o *Options) checkLoad() error {
	for _, b := range []struct {
		name             string
		value, low, high int
	}{
		{"events", o.Events, 1, maxEvents},
		{"size", o.Size, minSize, maxSize},
		{"keys", o.Keys, 0, maxEvents},
		{"processes", o.Processes, 1, maxProcesses},
		{"concurrency", o.Concurrency, 1, maxConcurrency},
		{"runs", o.Runs, 1, maxRuns},
	} {
		if b.value < b.low || b.value > b.high {
			return fmt.Errorf("%s are %d: %d to %d", b.name, b.value, b.low, b.high)
		}
	}
	switch most := memdedupe.DefaultMaxKeys - maxWarmUp; {
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return fmt.Errorf("the rate is %v events a second: 0 (as fast as it goes) to %d", o.Rate, maxRate)
	case o.Rate > 0 && float64(o.Events+o.warmUp())/o.Rate > maxDuration.Seconds():
		return fmt.Errorf("the rate is %v events a second: %d of them, warm-up included, are due within more than %v", o.Rate, o.Events+o.warmUp(), maxDuration)
	case !(o.Duplicates >= 0 && o.Duplicates <= 1):
		return fmt.Errorf("duplicates are %v of the events: 0 to 1, such as 0.1", o.Duplicates)
	case o.Store == testbed.StoreMemory && o.Events > most:
		return fmt.Errorf("events are %d: the store memory has room for %d", o.Events, most)
	}
	return nil
}

// maxWarmUp is how many events are not counted, at most.
const maxWarmUp = 5_000

// warmUp is how many events come before those that are counted.
func (o *Options) warmUp() int { return min(max(o.Events/10, 10), maxWarmUp) }
