package mongodoc

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

const (
	// defaultTTL is how long marks are kept, which is the consumer's default too.
	defaultTTL = 7 * 24 * time.Hour
	// defaultMaxApplied is what a document grows to: about a megabyte of marks, or 650 kB once they
	// were seen done.
	defaultMaxApplied = 10_000
	// pruneAfter is how many changes a document takes before its marks are looked through for
	// the first time.
	pruneAfter = 100
	// doneGrace is for how long a mark outlives the moment in which its event was seen done. Who
	// comes later was frozen all the while, for no run starts once an event is done.
	doneGrace = time.Hour
)

// UpdateOptions of an UpdateOnce. The zero value, and nil, are the defaults.
type UpdateOptions struct {
	// Key names the event. Default: the key of the handler's run, as its context carries it.
	Key dedupe.Key
	// Step tells the changes apart that one run makes to the same document: each but one needs a
	// name that is the same in every run. Changes of different documents need none.
	Step string
	// Upsert inserts the document where there is none with what the filter pins.
	Upsert bool
	// Publish is the events that the change brings about. They wait in the document until an outbox
	// takes them out, in order, and publishes them; see Mover. That order is the
	// document's: events of one key from two documents have none among each other. An event without
	// an ID gets one that is the same in every run.
	Publish []bus.Event
	// ArrayFilters of the update, as MongoDB has them.
	ArrayFilters []any
	// TTL is how long the mark is kept at least, unless the event is seen done before. Default 7
	// days, the consumer's own: give it what the subscription's TTL is.
	TTL time.Duration
	// MaxApplied bounds the marks that a document keeps; beyond it is ErrRingFull. Default 10,000.
	// The document grows by about 100 bytes with each, and every change writes it: 0.3 ms with 100
	// marks, 0.8 ms with 1,000 and 6 ms with 10,000, as measured.
	MaxApplied int
}

func (o *UpdateOptions) withDefaults(run *dedupe.Run) (UpdateOptions, error) {
	c := *cmp.Or(o, &UpdateOptions{})
	if c.Key == (dedupe.Key{}) && run != nil {
		c.Key = run.Key()
	}
	c.TTL = cmp.Or(c.TTL, defaultTTL)
	c.MaxApplied = cmp.Or(c.MaxApplied, defaultMaxApplied)
	switch {
	case c.Key == (dedupe.Key{}):
		return c, errors.New("UpdateOptions.Key is empty, and ctx is not that of a handler: pass the handler's ctx, or say which event this is for")
	case c.TTL < 0:
		return c, fmt.Errorf("UpdateOptions.TTL is %v; it must be positive, or zero for %v", c.TTL, defaultTTL)
	case c.MaxApplied < 0 || c.MaxApplied > math.MaxInt32:
		return c, fmt.Errorf("UpdateOptions.MaxApplied is %d; it must be from 1 to %d, or zero for %d", c.MaxApplied, math.MaxInt32, defaultMaxApplied)
	}
	return c, nil
}

// pruneInterval is how many changes a document takes between two prunings, at least.
func (o *UpdateOptions) pruneInterval() int { return min(pruneAfter, o.MaxApplied) }
