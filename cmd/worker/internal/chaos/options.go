package chaos

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/commandline"
)

// What Options mean by zero.
const (
	DefaultDuration  = 2 * time.Minute
	DefaultProcesses = 3
	DefaultRate      = 200
	DefaultKeys      = 50
	DefaultLease     = 3 * time.Second
)

const defaultPatience = 30 * time.Second

// Bounds of Options: it all has to fit into this process's memory, and onto one machine.
const (
	maxDuration  = 24 * time.Hour
	maxProcesses = 50
	maxEvents    = 5_000_000
	minLease     = time.Second
	maxLease     = time.Minute
)

// Options of Run. The zero value lacks Command, and is refused.
type Options struct {
	// NATS is the URL of the server, which needs JetStream. Empty: one of this program's own, in a
	// process of its own, which can be killed.
	NATS string
	// Store is one of testbed.StoreKV and StoreMongo. Empty: testbed.StoreKV.
	Store string
	// Mongo is the URI of the MongoDB, for testbed.StoreMongo. Its database, or "onceish", gets a
	// collection.
	Mongo string
	// Duration is how long events are published and faults happen. Zero: DefaultDuration.
	Duration time.Duration
	// Seed decides the events, which of them are published again, which runs fail, and the faults:
	// their kinds, victims, times and lengths. It does not decide what the machine does meanwhile.
	Seed uint64
	// Faults are kinds of faults. Empty: all that are possible.
	Faults []string
	// Processes is how many workers work at a time. Zero: DefaultProcesses.
	Processes int
	// Rate is how many events are published in a second, copies not included. Zero: DefaultRate.
	Rate int
	// Keys is how many keys the events have. Zero: DefaultKeys.
	Keys int
	// Duplicates is the share of events that are published again, from 0 to 1.
	Duplicates float64
	// Lease is that of claims and deliveries: faults last for parts and multiples of it. Zero:
	// DefaultLease.
	Lease time.Duration
	// Order is which events wait for which. With the orders that hold over all processes, theirs is
	// judged as well. With a Deployment it is what the file says, and must be left.
	Order consumer.Order
	// Deployment are the user's own workers. Nil: workers with a handler made for this.
	Deployment *Deployment
	// Command is the program, and its arguments, that comes to call Work, or with a Deployment
	// WorkDeployment, with its standard input. Required.
	Command []string
	// Server is the same for testbed.Serve. Required without NATS.
	Server []string
	// Program is how people start this command, for the line that replays a run. Empty: "worker
	// chaos".
	Program string
	// PrintStory writes what became of an event. Nil: its summary alone is written.
	PrintStory func(io.Writer, *explain.Story) error
	// Output is told how it goes. Nil: nobody is.
	Output io.Writer
	// Live: the output is a terminal, and gets a progress bar.
	Live bool

	// patience is how long nothing may happen at the end; tests have less.
	patience time.Duration
	// deployed is what Deployment says. Nil: there is none.
	deployed *deployed
	// parent is where the directory is made. Empty: the directory for temporary files.
	parent string
}

// Validate reports what Run would refuse.
func (o *Options) Validate() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults returns o with defaults filled in, or what is wrong with it.
func (o *Options) withDefaults() (*Options, error) {
	c := *cmp.Or(o, &Options{})
	c.Store, c.Duration, c.Processes = cmp.Or(c.Store, testbed.StoreKV), cmp.Or(c.Duration, DefaultDuration), cmp.Or(c.Processes, DefaultProcesses)
	c.Rate, c.Keys, c.Lease = cmp.Or(c.Rate, DefaultRate), cmp.Or(c.Keys, DefaultKeys), cmp.Or(c.Lease, DefaultLease)
	c.Program, c.patience = cmp.Or(c.Program, "worker chaos"), cmp.Or(c.patience, defaultPatience)
	if c.sharesTopic() {
		c.patience += group.DefaultTTL // a bucket that is there may have it: until then the partitions of a dead process have no owner
	}
	if c.Output == nil {
		c.Output, c.Live = io.Discard, false
	}
	if c.PrintStory == nil {
		c.PrintStory = printSummary
	}
	err := c.readDeployment()
	if err == nil {
		err = c.checkOptions()
	}
	if err == nil {
		c.Faults, err = CheckKinds(c.Faults, c.Store, c.NATS == "", c.sharesTopic())
	}
	if err == nil {
		err = c.checkStreams()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: chaos: %w", commandline.ErrUsage, err)
	}
	return &c, nil
}

func (o *Options) checkOptions() error {
	switch {
	case len(o.Command) == 0:
		return fmt.Errorf("Options.Command is empty: name the program that calls Work")
	case o.NATS == "" && len(o.Server) == 0:
		return fmt.Errorf("Options.NATS and Options.Server are empty: name a server, such as nats://localhost:4222, or the program that calls Serve")
	case o.Store == testbed.StoreMemory:
		return fmt.Errorf("the store memory forgets everything with its process: choose kv or mongo")
	case o.Lease < minLease || o.Lease > maxLease:
		return fmt.Errorf("the lease is %v: %v to %v%s", o.Lease, minLease, maxLease, o.leaseHint())
	case o.Duration < 2*o.Lease || o.Duration > maxDuration:
		return fmt.Errorf("the duration is %v: two leases, %v, to %v%s", o.Duration, 2*o.Lease, maxDuration, o.leaseHint())
	case o.Processes < 1 || o.Processes > maxProcesses:
		return fmt.Errorf("processes are %d: 1 to %d", o.Processes, maxProcesses)
	case o.Rate < 1 || float64(o.Rate)*o.Duration.Seconds() > maxEvents: // an int may be too small for them
		return fmt.Errorf("the rate is %d events/s: 1, to %d events in all", o.Rate, maxEvents)
	case o.Keys < 1 || o.Keys > maxEvents:
		return fmt.Errorf("keys are %d: 1 to %d", o.Keys, maxEvents)
	case !(o.Duplicates >= 0 && o.Duplicates <= 1):
		return fmt.Errorf("duplicates are %v: a share, from 0 to 1", o.Duplicates)
	}
	if o.Order == consumer.Unordered || o.Order == consumer.ByTopic {
		return fmt.Errorf("the order is %s: key, exclusive or partitions:N", o.Order)
	}
	return testbed.CheckStore(o.Store, o.Mongo)
}

// sharesTopic reports whether a part of the topic is one process's at a time.
func (o *Options) sharesTopic() bool {
	return o.Order == consumer.Exclusive || o.Order.NumPartitions() > 0
}

// someStandBy reports whether there is nothing to do for some of the processes.
func (o *Options) someStandBy() bool {
	n := o.Order.NumPartitions()
	return o.Order == consumer.Exclusive || n > 0 && n < o.Processes
}

// memberTTL is how long a dead process keeps its partitions: faults last for less and for more.
func (o *Options) memberTTL() time.Duration { return 2 * o.Lease }

// layout is in how many partitions the topic is published.
func (o *Options) layout(topic string) bus.Layout {
	if n := o.Order.NumPartitions(); n > 0 {
		return bus.Layout{topic: n}
	}
	return nil
}

// settleLimit is how long it may take to settle: as long as all took before, and a little more.
func (o *Options) settleLimit() time.Duration { return o.Duration + 4*o.patience }

// events is how many there are.
func (o *Options) events() int { return int(o.Duration.Seconds() * float64(o.Rate)) }

func printSummary(w io.Writer, s *explain.Story) error {
	_, err := fmt.Fprintln(w, s.Summary)
	return err
}
