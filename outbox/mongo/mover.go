package mongo

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Mover takes the events that mongodedupe's UpdateOnce left in documents into the outbox, from where a drainer publishes them. There may be any
// number of movers, in any number of processes: they may do the same work, and its outcome is the same. Its methods are safe for concurrent use.
//
// The events of a document are first added to the outbox, under their ids and in their order, and then taken out of the document. A mover that ends in between
// is repeated by the next one, which gives them the same ids and sequences.
type Mover struct {
	queue *Queue
	o     MoverOptions
	wake  chan struct{}
	stop  chan struct{} // closed by the actor
	once  sync.Once
}

// NewMover makes a mover into a queue. It does nothing until Run or Move. Nil options are the default.
func NewMover(q *Queue, o *MoverOptions) (*Mover, error) {
	if q == nil {
		return nil, errors.New("outbox/mongo: NewMover needs the Queue to move events into")
	}
	opts, err := o.withDefaults(q)
	if err != nil {
		return nil, err
	}
	return &Mover{queue: q, o: opts, wake: make(chan struct{}, 1), stop: make(chan struct{})}, nil
}

// Actor is for a run.Group: run is Run until stop is called.
func (m *Mover) Actor() (run func() error, stop func(error)) {
	return func() error { return m.Run(context.Background()) }, func(error) { m.once.Do(func() { close(m.stop) }) }
}

// Notify says that events were left in documents: the mover looks for them at once. It never blocks. It is for mongodedupe's
// Options.Waiting.
func (m *Mover) Notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run moves events until ctx ends, and returns nil. What goes wrong is logged, and tried again.
func (m *Mover) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		defer cancel()
		select {
		case <-m.stop:
		case <-ctx.Done():
		}
	})
	wait := m.o.PollMin
	for ctx.Err() == nil {
		n, err := m.Move(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			m.o.Logger.LogAttrs(ctx, slog.LevelError, "events wait in documents", slog.Any("error", err))
			wait = m.o.PollMax
		case n > 0:
			wait = m.o.PollMin
		default:
			wait = min(2*wait, m.o.PollMax)
		}
		if m.sleep(ctx, wait) {
			wait = m.o.PollMin
		}
	}
	cancel()
	return nil
}

// sleep tells whether it was woken.
func (m *Mover) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.wake:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}
