package mongo

import (
	"cmp"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

const (
	// defaultTimeout of a call; longer than a failover takes as a rule.
	defaultTimeout = 10 * time.Second
	// defaultKeep: less than dedupe stores keep their marks, and longer than a bus takes to lose
	// what it had not synced.
	defaultKeep = 3 * 24 * time.Hour
	// maxKeep is what a TTL index can hold, and more than anybody wants.
	maxKeep = 10 * 365 * 24 * time.Hour
	// maxPartitions keeps the document that has their leases small.
	maxPartitions = 1024
)

// Options of a Queue. The zero value, and nil, are the defaults.
type Options struct {
	// Timeout bounds each call, together with the deadline of its ctx. Default 10 s. Those of
	// outbox.Admin may read all rows there are, and have ten times as long.
	Timeout time.Duration
	// Keep is how long sent rows are kept; at least 1 s. It is a property of the collection: the
	// New that was called last with one decides. Default what the outbox has, or 3 days when it
	// is first made.
	Keep time.Duration
	// Partitions is their number when the outbox is first made. Default outbox.DefaultPartitions,
	// or what the outbox has; at most 1,024.
	Partitions int
	// Headers are what the context of an Add adds to the headers of its events, such as trace
	// context: the row then tells a drainer, and consumers, who wrote it. Default none.
	Headers bus.ContextHeaders

	// now is the clock of this machine; tests skew it.
	now func() time.Time
}

func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	if c.Timeout < 0 {
		return c, fmt.Errorf("outbox/mongo: Options.Timeout is %v; it must be positive, or zero for %v", c.Timeout, defaultTimeout)
	}
	if c.Keep != 0 && (c.Keep < time.Second || c.Keep > maxKeep) {
		return c, fmt.Errorf("outbox/mongo: Options.Keep is %v; it must be from 1s to %v, or zero for what the outbox has", c.Keep, maxKeep)
	}
	if c.Partitions < 0 || c.Partitions > maxPartitions {
		return c, fmt.Errorf("outbox/mongo: Options.Partitions is %d; it must be from 1 to %d, or zero for what the outbox has", c.Partitions, maxPartitions)
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}
