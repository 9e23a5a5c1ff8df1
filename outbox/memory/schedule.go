package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// scheduleAt makes a row that is not filed a scheduled one.
func (r *queueRow) scheduleAt(t time.Time, place int) {
	r.Status, r.At = outbox.Scheduled, outbox.DueTime(t)
	r.due, r.Seq = r.At, outbox.DueSeq(r.At, place)
}

func (q *Queue) addScheduled(r *queueRow) {
	i, _ := slices.BinarySearchFunc(q.scheduled, r, compareInKey)
	q.scheduled = slices.Insert(q.scheduled, i, r)
}

func (q *Queue) removeScheduled(r *queueRow) {
	if i, ok := slices.BinarySearchFunc(q.scheduled, r, compareInKey); ok {
		q.scheduled = slices.Delete(q.scheduled, i, i+1)
	}
}

// countDue is how many scheduled rows are due.
func (q *Queue) countDue(now time.Time) int {
	n := slices.IndexFunc(q.scheduled, func(r *queueRow) bool { return r.due.After(now) })
	if n < 0 {
		return len(q.scheduled)
	}
	return n
}

// ReleaseDue implements outbox.DueReleaser.
func (q *Queue) ReleaseDue(ctx context.Context, most int) (out outbox.Released, err error) {
	now, end, err := q.beginCall(ctx, "release due rows")
	if err != nil {
		return out, err
	}
	for out.Rows < most && len(q.scheduled) > 0 && !q.scheduled[0].due.After(now) {
		q.setStatus(q.scheduled[0], outbox.Pending)
		out.Rows++
	}
	if len(q.scheduled) > 0 {
		out.Next = max(0, q.scheduled[0].due.Sub(now))
	}
	end()
	if out.Rows > 0 {
		q.wakeWatchers()
	}
	return out, nil
}

// Scheduled implements outbox.Schedules.
func (q *Queue) Scheduled(ctx context.Context, f outbox.Filter, after outbox.Row, limit int) ([]outbox.Row, error) {
	now, end, err := q.beginCall(ctx, "list what is scheduled")
	if err != nil {
		return nil, err
	}
	defer end()
	f.Status = outbox.Scheduled
	var rows []outbox.Row
	for _, r := range q.scheduled {
		if len(rows) >= limit {
			break
		}
		if matchesFilter(f, r, now) && compareInKey(r, &queueRow{Row: after}) > 0 {
			rows = append(rows, r.snapshotAt(now))
		}
	}
	return rows, nil
}

// Cancel implements outbox.Schedules.
func (q *Queue) Cancel(ctx context.Context, rowID string) (outbox.Change, error) {
	return q.changeScheduled(ctx, "cancel", rowID, func(r *queueRow, _ time.Time) error {
		q.removeRow(r)
		return nil
	})
}

// Move implements outbox.Schedules.
func (q *Queue) Move(ctx context.Context, rowID string, t time.Time) (outbox.Change, error) {
	return q.changeScheduled(ctx, "move", rowID, func(r *queueRow, now time.Time) error {
		if err := bus.CheckDue(t, now); err != nil {
			return fmt.Errorf("memory outbox: move row %.64q: %w", rowID, err)
		}
		if t.Before(now) {
			t = now
		}
		q.unfileRow(r)
		r.scheduleAt(t, 0)
		r.Version++
		q.fileRow(r)
		return nil
	})
}

func (q *Queue) changeScheduled(ctx context.Context, what, rowID string, do func(*queueRow, time.Time) error) (outbox.Change, error) {
	now, end, err := q.beginCall(ctx, what)
	if err != nil {
		return outbox.NotFound, err
	}
	defer end()
	switch r := q.rows[rowID]; {
	case r == nil:
		return outbox.NotFound, nil
	case r.Status != outbox.Scheduled:
		return outbox.TooLate, nil
	default:
		if err := do(r, now); err != nil {
			return outbox.NotFound, err
		}
		return outbox.Changed, nil
	}
}
