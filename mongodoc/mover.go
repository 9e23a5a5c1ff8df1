package mongodoc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/backoff"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// Mover takes the events that UpdateOnce left in documents into the outbox, from
// where a drainer publishes them. There may be any number of movers, in any number of processes:
// they may do the same work, and its outcome is the same. Its methods are safe for concurrent use.
//
// The events of a document are first added to the outbox, under their ids and in their order, and
// then taken out of the document. A mover that ends in between is repeated by the next one, which
// gives them the same ids and sequences.
type Mover struct {
	queue *mongooutbox.Queue
	o     MoverOptions
	wake  chan struct{}
	// passSlot has room for one pass at a time.
	passSlot chan struct{}

	mu         sync.Mutex
	known      map[*driver.Database]map[string]bool // collections that were in the registry
	moved      Moved                                // so far; Stuck is now
	conditions collectionConditions                 // of the last pass
}

// NewMover makes a mover into a queue. It does nothing until Run or Move. Nil options
// are the default.
func NewMover(q *mongooutbox.Queue, o *MoverOptions) (*Mover, error) {
	if q == nil {
		return nil, errors.New("mongodoc: NewMover needs the Queue to move events into")
	}
	opts, err := o.withDefaults(q)
	if err != nil {
		return nil, err
	}
	return &Mover{queue: q, o: opts, wake: make(chan struct{}, 1), passSlot: make(chan struct{}, 1), known: map[*driver.Database]map[string]bool{}}, nil
}

// Actor is for a run.Group: run is Run until stop is called.
func (m *Mover) Actor() (run func() error, stop func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	return func() error { return m.Run(ctx) }, func(error) { cancel() }
}

// Notify says that events were left in documents: the mover looks for them at once. It never
// blocks. It is for Options.Waiting.
func (m *Mover) Notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run moves events until ctx ends, and returns nil. What goes wrong is logged when it begins and
// when it is over, and is tried again.
func (m *Mover) Run(ctx context.Context) error {
	wait := m.o.PollMin
	for ctx.Err() == nil {
		moved, err := m.Move(ctx)
		switch {
		case err != nil:
			wait = m.o.PollMax
		case moved.Events > 0:
			wait = m.o.PollMin
		default:
			wait = min(2*wait, m.o.PollMax)
		}
		if backoff.Wait(ctx, m.wake, wait) {
			wait = m.o.PollMin
		}
	}
	return nil
}

// recordPass remembers what a pass has found, and logs what is new and what is over.
func (m *Mover) recordPass(found collectionConditions, moved Moved) {
	m.mu.Lock()
	before := m.conditions
	m.conditions = found
	m.moved.addCounts(moved)
	m.moved.Stuck = moved.Stuck
	m.mu.Unlock()
	for where, c := range found {
		if was := before[where]; c.failed != nil && was.failed == nil || c.stuck > was.stuck {
			m.o.Logger.Error("outbox: events stay in documents", "where", where, "error", c.asError())
		}
	}
	for where := range before {
		if _, is := found[where]; !is {
			m.o.Logger.Info("outbox: no events stay in documents any more", "where", where)
		}
	}
}

// Stats reports what the mover has done since it was made, and how many documents are stuck now.
func (m *Mover) Stats() Moved {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moved
}

// Healthy returns why events stay in documents, as of the last pass: nil while all are moved.
// Events that became dead rows are no reason; see Queue.Count.
func (m *Mover) Healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, where := range slices.Sorted(maps.Keys(m.conditions)) {
		errs = append(errs, m.conditions[where].asError())
	}
	return errors.Join(errs...)
}

func (m *Mover) boundCall(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(driver.NewSessionContext(ctx, nil), m.o.Timeout)
}
