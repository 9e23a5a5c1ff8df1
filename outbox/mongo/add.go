package mongo

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// Add adds events to the transaction in ctx, in their order, and returns their ids. See AddRows.
func (q *Queue) Add(ctx context.Context, events ...bus.Event) ([]string, error) {
	return q.AddRows(ctx, rowsOf(events)...)
}

// AddRows adds rows, of which Event, Seq, At and After matter, to the transaction in ctx, in their
// order: they are there once it commits, and never were if it aborts. It returns the ids of their
// events; Cancel and Move take outbox.RowID. The transaction is one of the outbox's own client, and
// has write concern majority; none is ErrNoTransaction. It costs one round trip, and another when a
// row is there already. Rows of outbox.At and outbox.In are scheduled.
//
// An event without an id gets one. An invalid event is bus.ErrInvalidEvent, one whose row is over
// 16 MiB less 64 KiB bus.ErrTooLarge; what the bus takes is for the drainer to find out. An event
// that is there already is left as it is, as the bus would leave it: its time or headers may be
// others, and so may when it is due. One of its topic, source and id with another payload is
// outbox.ErrExists. One that is due in more than bus.MaxDelay is bus.ErrTooFar.
func (q *Queue) AddRows(ctx context.Context, rows ...outbox.Row) ([]string, error) {
	if err := q.requireTransaction(ctx); err != nil {
		return nil, fmt.Errorf("outbox/mongo: add to %s.%s: %w", q.rows.Database().Name(), q.rows.Name(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	b, err := q.newBatch(ctx, rows)
	if err == nil && len(b.rows) > 0 {
		err = q.joinTransaction(ctx, b)
	}
	if err != nil {
		return nil, q.callFailed("add", err)
	}
	return b.ids, nil
}

func (q *Queue) requireTransaction(ctx context.Context) error {
	switch sess := driver.SessionFromContext(ctx); {
	case sess == nil || !sess.TransactionRunning():
		return fmt.Errorf("%w: call Add with the ctx that Session.WithTransaction passes to its function, or, if nothing else is to commit with the events, AddAlone", ErrNoTransaction)
	case sess.Client() != q.rows.Database().Client():
		return errors.New("the transaction is of another client than the outbox's: make both from one mongo.Client")
	}
	return nil
}

// AddAlone adds events outside of any transaction, in their order, and returns their ids.
// See AddRowsAlone.
func (q *Queue) AddAlone(ctx context.Context, events ...bus.Event) ([]string, error) {
	return q.AddRowsAlone(ctx, rowsOf(events)...)
}

// AddRowsAlone is AddRows without a transaction; one in ctx is left out. For events that tell of
// nothing else in the database. Some may be added when it fails; repeated with the same ids, it
// adds the others. It costs one round trip, and another when a row is there already.
func (q *Queue) AddRowsAlone(ctx context.Context, rows ...outbox.Row) ([]string, error) {
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	b, err := q.newBatch(ctx, rows)
	if err == nil {
		err = q.insertRows(ctx, b.rows, b.keyed, existsError)
	}
	if err != nil {
		return nil, q.callFailed("add", err)
	}
	return b.ids, nil
}

func rowsOf(events []bus.Event) []outbox.Row {
	rows := make([]outbox.Row, len(events))
	for i := range events {
		rows[i].Event = events[i]
	}
	return rows
}
