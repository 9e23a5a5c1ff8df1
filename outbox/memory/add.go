package memory

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/uuid7"
	"github.com/onceish/onceish/outbox"
)

// Add adds events in their order, all or none, and returns their ids. See AddRows.
func (q *Queue) Add(ctx context.Context, events ...bus.Event) ([]string, error) {
	rows := make([]outbox.Row, len(events))
	for i := range events {
		rows[i].Event = events[i]
	}
	return q.AddRows(ctx, rows...)
}

// AddRows adds rows, of which Event, Seq, At and After matter, in their order, all or none, and
// returns the ids of their events; Cancel and Move take outbox.RowID. An event without an id gets
// one. An invalid event is bus.ErrInvalidEvent (see bus.Event for headers), one over
// Options.MaxBytes bus.ErrTooLarge. An event that is there already is left as it is, due when it
// was; one of its topic, source and id with another payload is outbox.ErrExists. One that is due in
// more than bus.MaxDelay is bus.ErrTooFar.
func (q *Queue) AddRows(ctx context.Context, rows ...outbox.Row) ([]string, error) {
	ids, err := q.addAll(ctx, rows)
	if err == nil && len(ids) > 0 {
		q.wakeWatchers()
	}
	return ids, err
}

func (q *Queue) addAll(ctx context.Context, rows []outbox.Row) ([]string, error) {
	now, end, err := q.beginCall(ctx, "add")
	if err != nil {
		return nil, err
	}
	defer end()
	ids, fresh := make([]string, len(rows)), make(map[string]*queueRow, len(rows))
	order := make([]*queueRow, 0, len(rows))
	for i := range rows {
		row := rows[i]
		row.Event.Headers = q.o.Headers.AddTo(ctx, row.Event.Headers)
		r, err := q.prepareRow(row, i, now)
		if err != nil {
			return nil, err
		}
		ids[i] = r.Event.ID
		there := cmp.Or(q.rows[r.ID], fresh[r.ID])
		switch {
		case there == nil:
			fresh[r.ID] = r
			order = append(order, r)
		case !outbox.SameEvent(&there.Event, &r.Event):
			return nil, fmt.Errorf("memory outbox: add event %.64q for topic %q: %w: give it an id of its own", r.Event.ID, r.Event.Topic, outbox.ErrExists)
		}
	}
	for _, r := range order {
		q.insertRow(r, now)
	}
	return ids, nil
}

// prepareRow checks a row, which has this place in the call, and copies what its writer may change.
func (q *Queue) prepareRow(in outbox.Row, place int, now time.Time) (*queueRow, error) {
	e := in.Event
	if e.ID == "" {
		e.ID = uuid7.New(now)
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("memory outbox: add: %w", err)
	}
	e = bus.DropForeignControl(e)
	if n := outbox.Size(&e); n > q.o.MaxBytes {
		return nil, fmt.Errorf("memory outbox: add event %.64q for topic %q: %w: it has %d bytes, at most %d are taken: send less, or raise Options.MaxBytes",
			e.ID, e.Topic, bus.ErrTooLarge, n, q.o.MaxBytes)
	}
	if in.Seq > math.MaxInt64 {
		return nil, fmt.Errorf("memory outbox: add event %.64q: Seq is %d: it must be from 0 (assigned) to %d", e.ID, in.Seq, math.MaxInt64)
	}
	e.Data = append([]byte(nil), e.Data...)
	if e.Headers != nil {
		e.Headers = e.Headers.Clone()
	}
	r := &queueRow{Row: outbox.Row{ID: outbox.RowID(&e), Event: e, Seq: in.Seq, Hash: outbox.Hash(e.Key, e.ID), Status: outbox.Pending}, due: now}
	due, err := in.DueOn(now)
	if err != nil {
		return nil, fmt.Errorf("memory outbox: add: %w", err)
	}
	if !due.IsZero() {
		r.scheduleAt(due, place)
	}
	return r, nil
}

func (q *Queue) insertRow(r *queueRow, now time.Time) {
	if r.Seq == 0 {
		q.seq = max(q.seq+1, uint64(max(0, now.UnixNano())))
		r.Seq = q.seq
	}
	q.added++
	r.number, r.Added = q.added, now
	q.rows[r.ID] = r
	q.fileRow(r)
}
