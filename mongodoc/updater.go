package mongodoc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/serverclock"
)

// defaultTimeout of a call; longer than a failover takes as a rule.
const defaultTimeout = 10 * time.Second

// Options of an Updater. The zero value, and nil, are the defaults.
type Options struct {
	// Timeout bounds each call, together with the deadline of its ctx. Default: 10 s.
	Timeout time.Duration
	// WriteConcern of the changes. Default: majority. With a weaker one, such as w:1 for telemetry,
	// a failover may take changes back, together with their marks and events.
	WriteConcern *writeconcern.WriteConcern
	// Waiting is called when UpdateOnce has left events in a document; it must not block. Give it
	// the Notify of a Mover in this process.
	Waiting func()
	// Headers are what the context of an UpdateOnce adds to the headers of the events that it
	// publishes, such as trace context. Default: none.
	Headers bus.ContextHeaders

	// now is the clock of this machine; tests skew it.
	now func() time.Time
	// grace is for how long marks in documents outlive the end of their events; tests shorten it.
	grace time.Duration
}

func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	if c.Timeout < 0 {
		return c, fmt.Errorf("mongodoc: Options.Timeout is %v; it must be positive, or zero for %v", c.Timeout, defaultTimeout)
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.WriteConcern = cmp.Or(c.WriteConcern, writeconcern.Majority())
	if !c.WriteConcern.Acknowledged() {
		return c, errors.New("mongodoc: Options.WriteConcern is w:0; a change needs an answer, use w:1 or more")
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Waiting == nil {
		c.Waiting = func() {}
	}
	c.grace = cmp.Or(c.grace, doneGrace)
	return c, nil
}

// Updater changes documents once for each event. It is safe for concurrent use, starts no
// goroutine, and needs no closing: the client is its caller's.
type Updater struct {
	store   *mongodedupe.Store
	clock   *serverclock.Clock
	timeout time.Duration
	concern *writeconcern.WriteConcern
	grace   time.Duration // see doneGrace
	waiting func()        // see Options.Waiting
	headers bus.ContextHeaders
	indexes indexCache
}

// New returns an updater for the events whose dedupe rows are in the store: marks in documents go
// when their events are done there.
func New(store *mongodedupe.Store, o *Options) (*Updater, error) {
	if store == nil {
		return nil, errors.New("mongodoc: New needs the store that has the rows of the events")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	u := &Updater{
		store: store, clock: mongoserver.NewClock(store.Collection().Database(), opts.now),
		timeout: opts.Timeout, concern: opts.WriteConcern, grace: opts.grace, waiting: opts.Waiting, headers: opts.Headers,
	}
	u.indexes.unique, u.indexes.waiting = make(map[indexCacheKey][]string), make(map[namespace]time.Time)
	return u, nil
}

// boundCall bounds a call. A transaction of the caller's is left out: what it aborts must not take
// a mark with it.
func (u *Updater) boundCall(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(driver.NewSessionContext(ctx, nil), u.timeout)
}
