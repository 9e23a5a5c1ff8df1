package projector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/mongoserver"
)

// Options of a Projection. The zero value, and nil, are the defaults.
type Options struct {
	// Unique are the fields of which no two documents show the same value. They are given when the
	// projection is new: of a collection that has documents already they ask for a rebuild.
	Unique []Unique
	// TombstoneTTL is how long a tombstone is kept, in whole seconds, from a day on. It must be
	// longer than an older event of the document can be handled: than the stream keeps events, a
	// group stays paused, and dead letters are kept. Default: for ever.
	TombstoneTTL time.Duration
}

// minTombstoneTTL is the least Options.TombstoneTTL.
const minTombstoneTTL = 24 * time.Hour

func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	if c.TombstoneTTL != 0 && c.TombstoneTTL < minTombstoneTTL {
		return c, fmt.Errorf("Options.TombstoneTTL is %v: it must be %v or more, or zero to keep tombstones for ever", c.TombstoneTTL, minTombstoneTTL)
	}
	var err error
	c.Unique, err = checkUnique(c.Unique)
	return c, err
}

// Stats is what a Projection has done since it was made.
type Stats struct {
	// Applied is how many changes were written.
	Applied uint64
	// Stale is how many were not, because the document is of the same event or of a newer one. On a
	// server that counts as modified what an update leaves as it was, as DocumentDB does, only
	// those are counted that were stale within their batch.
	Stale uint64
	// Withheld is how many were written without a field, whose value is another document's.
	Withheld uint64
}

// Projection keeps a collection that events make. It is safe for concurrent use, starts no
// goroutine, and needs no closing: the client is its caller's.
type Projection struct {
	coll   *driver.Collection
	writer writer

	applied, stale, withheld atomic.Uint64
}

// writer is one way to make documents of events.
type writer interface {
	// plan sets the change of an item. An error is the fault of the event.
	plan(it *item) error
	// prepare makes what the collection must have.
	prepare(ctx context.Context, coll *driver.Collection) error
	// write writes the items' changes, and sets the error of each that it did not. An error says
	// that any of them may have been written, and may be written again.
	write(ctx context.Context, coll *driver.Collection, items []*item) (Stats, error)
}

// New returns a projection of events, by a function, into a collection, which is to be its own. o
// may be nil. Call Prepare before events are handled.
func New(coll *driver.Collection, project Func, o *Options) (*Projection, error) {
	if project == nil {
		return nil, errors.New("projector: the function that makes changes of events is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("projector: %w", err)
	}
	return newProjection(coll, &upserts{project: project, o: opts})
}

func newProjection(coll *driver.Collection, w writer) (*Projection, error) {
	if coll == nil {
		return nil, errors.New("projector: the collection is nil")
	}
	return &Projection{coll: own(coll), writer: w}, nil
}

// own is the collection with the concerns that a projection relies on: it reads what it has written
// a moment before, and no failover takes that back.
func own(coll *driver.Collection) *driver.Collection {
	return mongoserver.Own(coll, readconcern.Local(), writeconcern.Majority())
}

// Prepare makes the indexes that the collection must have. It may be repeated, and be called by
// many processes at once. ErrRebuild is returned for a collection whose documents were made without
// one of Options.Unique.
func (p *Projection) Prepare(ctx context.Context) error {
	if err := p.writer.prepare(ctx, p.coll); err != nil {
		return fmt.Errorf("projector: prepare the collection %s: %w", p.coll.Name(), err)
	}
	return nil
}

// Stats returns what was done so far. It does not block.
func (p *Projection) Stats() Stats {
	return Stats{Applied: p.applied.Load(), Stale: p.stale.Load(), Withheld: p.withheld.Load()}
}

// write writes the changes of items into a collection, which is the projection's or its shadow.
func (p *Projection) write(ctx context.Context, coll *driver.Collection, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	s, err := p.writer.write(driver.NewSessionContext(ctx, nil), coll, items)
	p.applied.Add(s.Applied)
	p.stale.Add(s.Stale)
	p.withheld.Add(s.Withheld)
	return err
}
