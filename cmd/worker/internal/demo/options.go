package demo

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/internal/commandline"
)

// What Options mean by zero, and how many kills show something.
const (
	DefaultEvents    = 10_000
	DefaultProcesses = 3
	DefaultKills     = 3
)

const defaultPatience = 30 * time.Second

// Bounds of Options: it all has to fit into this process's memory, and onto one machine.
const (
	maxEvents    = 5_000_000
	maxProcesses = 100
)

// Options of Run. The zero value lacks NATS and Command, and is refused.
type Options struct {
	// NATS is the URL of the server, which needs JetStream.
	NATS string
	// Store is one of testbed.StoreKV, StoreMongo and StoreMemory. Empty: testbed.StoreKV.
	Store string
	// Mongo is the URI of the MongoDB, for testbed.StoreMongo. Its database, or "onceish", gets
	// a collection.
	Mongo string
	// Atomic has each effect be a change of a MongoDB document, in one write with the event's mark,
	// in place of a line in the journal. It needs testbed.StoreMongo, and another collection.
	Atomic bool
	// Events is how many are published, each once or more often. Zero: DefaultEvents.
	Events int
	// Processes is how many workers work at a time. Zero: DefaultProcesses; one with
	// testbed.StoreMemory.
	Processes int
	// Kills is how many of them are killed, one after the other, at most one for each event; none
	// with testbed.StoreMemory. Zero: none.
	Kills int
	// Seed decides which events are published more than once, which runs fail, and how far the work
	// is at each kill. It does not decide what the machine does meanwhile.
	Seed uint64
	// Command is the program, and its arguments, that comes to call Work with its standard
	// input. Required.
	Command []string
	// Output is told how it goes. Nil: nobody is.
	Output io.Writer
	// Live: the output is a terminal, and gets a progress bar.
	Live bool
	// Pause is the command that pauses a group on this NATS, without the group's name. Empty: how
	// to pause is not told.
	Pause string

	// patience is how long nothing may happen; tests have less.
	patience time.Duration
}

// Validate tells what Run would refuse, but for a NATS that is still to come.
func (o *Options) Validate() error {
	c := *o
	c.NATS = cmp.Or(c.NATS, "to come")
	_, err := c.withDefaults()
	return err
}

// withDefaults returns o with defaults filled in, or what is wrong with it.
func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	c.Store, c.Events, c.patience = cmp.Or(c.Store, testbed.StoreKV), cmp.Or(c.Events, DefaultEvents), cmp.Or(c.patience, defaultPatience)
	processes := DefaultProcesses
	if c.Store == testbed.StoreMemory {
		processes = 1
	}
	c.Processes = cmp.Or(c.Processes, processes)
	if c.Output == nil {
		c.Output, c.Live = io.Discard, false
	}
	if err := c.checkOptions(); err != nil {
		return Options{}, fmt.Errorf("%w: demo: %w", commandline.ErrUsage, err)
	}
	return c, nil
}

func (o *Options) checkOptions() error {
	switch {
	case o.NATS == "":
		return fmt.Errorf("Options.NATS is empty: name a server, such as nats://localhost:4222")
	case len(o.Command) == 0:
		return fmt.Errorf("Options.Command is empty: name the program that calls Work")
	case o.Atomic && o.Store != testbed.StoreMongo:
		return fmt.Errorf("atomic effects are changes of MongoDB documents, and the store is %s: choose the store mongo", o.Store)
	case o.Events < 1 || o.Events > maxEvents:
		return fmt.Errorf("events are %d: 1 to %d", o.Events, maxEvents)
	case o.Processes < 1 || o.Processes > maxProcesses:
		return fmt.Errorf("processes are %d: 1 to %d", o.Processes, maxProcesses)
	case o.Kills < 0 || o.Kills > o.Events:
		return fmt.Errorf("kills are %d: 0 to the number of events, %d", o.Kills, o.Events)
	case o.Store == testbed.StoreMemory && o.Processes > 1:
		return fmt.Errorf("processes are %d: the store memory is that of 1 process", o.Processes)
	case o.Store == testbed.StoreMemory && o.Kills > 0:
		return fmt.Errorf("kills are %d: the store memory forgets everything with its process: kill none, or choose the store kv", o.Kills)
	}
	return testbed.CheckStore(o.Store, o.Mongo)
}
