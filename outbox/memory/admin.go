package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// Count implements outbox.Admin.
func (q *Queue) Count(ctx context.Context) (outbox.Counts, error) {
	now, end, err := q.beginCall(ctx, "count")
	if err != nil {
		return outbox.Counts{}, err
	}
	defer end()
	var c outbox.Counts
	for _, r := range q.rows {
		switch r.Status {
		case outbox.Pending:
			c.Pending++
			c.Oldest = max(c.Oldest, r.waitedAt(now))
		case outbox.Scheduled:
			c.Scheduled++
		case outbox.Sent:
			c.Sent++
		case outbox.Dead:
			c.Dead++
		}
	}
	return c, nil
}

// CountBacklog implements outbox.BacklogCounter.
func (q *Queue) CountBacklog(ctx context.Context, most int) (outbox.Backlog, error) {
	c, err := q.Count(ctx)
	if err != nil {
		return outbox.Backlog{}, err
	}
	now, end, err := q.beginCall(ctx, "count backlog")
	if err != nil {
		return outbox.Backlog{}, err
	}
	defer end()
	due := q.countDue(now)
	if due > 0 {
		c.Oldest = max(c.Oldest, q.scheduled[0].waitedAt(now))
	}
	return outbox.Backlog{
		Pending: min(c.Pending+due, most), Dead: min(c.Dead, most), Scheduled: min(max(0, c.Scheduled-due), most), Oldest: c.Oldest,
	}, nil
}

// waitedAt is for how long a row has been there, or due if it was scheduled.
func (r *queueRow) waitedAt(now time.Time) time.Duration {
	if r.At.After(r.Added) {
		return now.Sub(r.At)
	}
	return now.Sub(r.Added)
}

// List implements outbox.Admin.
func (q *Queue) List(ctx context.Context, f outbox.Filter, max int) ([]outbox.Row, error) {
	now, end, err := q.beginCall(ctx, "list")
	if err != nil {
		return nil, err
	}
	defer end()
	found := q.findRows(f, now)
	rows := make([]outbox.Row, min(len(found), max))
	for i, r := range found[:len(rows)] {
		rows[i] = r.snapshotAt(now)
	}
	return rows, nil
}

// Retry implements outbox.Admin.
func (q *Queue) Retry(ctx context.Context, f outbox.Filter) (int, error) {
	if f.Status == outbox.Sent {
		return 0, fmt.Errorf("memory outbox: retry of sent rows: use Republish")
	}
	if f.Status == outbox.Scheduled {
		return 0, fmt.Errorf("memory outbox: retry of scheduled rows: use Move")
	}
	return q.changeSelected(ctx, "retry", f, q.makePending)
}

func (q *Queue) makePending(r *queueRow, now time.Time) {
	r.Attempts, r.Reason, r.due, r.Sent = 0, "", now, time.Time{}
	q.setStatus(r, outbox.Pending)
}

// Drop implements outbox.Admin.
func (q *Queue) Drop(ctx context.Context, f outbox.Filter) (int, error) {
	return q.changeSelected(ctx, "drop", f, func(r *queueRow, _ time.Time) { q.removeRow(r) })
}

// changeSelected does something to the rows of a filter: dead ones, if it names no status.
func (q *Queue) changeSelected(ctx context.Context, what string, f outbox.Filter, do func(*queueRow, time.Time)) (int, error) {
	if f.Empty() {
		return 0, fmt.Errorf("memory outbox: %s: %w: name ids, a topic, a key or a time", what, outbox.ErrNoFilter)
	}
	if f.Status == 0 {
		f.Status = outbox.Dead
	}
	return q.changeRows(ctx, what, func(now time.Time) []*queueRow { return q.findRows(f, now) }, do)
}

func (q *Queue) changeRows(ctx context.Context, what string, find func(time.Time) []*queueRow, do func(*queueRow, time.Time)) (int, error) {
	now, end, err := q.beginCall(ctx, what)
	if err != nil {
		return 0, err
	}
	found := find(now)
	for _, r := range found {
		do(r, now)
	}
	end()
	q.wakeWatchers()
	return len(found), nil
}

// Republish implements outbox.Admin.
func (q *Queue) Republish(ctx context.Context, topic string, from, to outbox.Moment) (int, error) {
	find := func(now time.Time) []*queueRow {
		sent := q.findRows(outbox.Filter{Topic: topic, Status: outbox.Sent}, now)
		return slices.DeleteFunc(sent, func(r *queueRow) bool { return !isWithin(r.Sent, from, to, now) })
	}
	return q.changeRows(ctx, "republish", find, func(r *queueRow, now time.Time) {
		r.Copies++
		q.makePending(r, now)
	})
}

// findRows returns the rows that match, those added first at first.
func (q *Queue) findRows(f outbox.Filter, now time.Time) []*queueRow {
	var found []*queueRow
	for _, r := range q.rows {
		if matchesFilter(f, r, now) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *queueRow) int { return cmp.Compare(a.number, b.number) })
	return found
}

func matchesFilter(f outbox.Filter, r *queueRow, now time.Time) bool {
	return (f.Status == 0 || f.Status == r.Status) &&
		(len(f.IDs) == 0 || slices.Contains(f.IDs, r.Event.ID)) &&
		(f.Topic == "" || bus.Match(f.Topic, r.Event.Topic)) &&
		(f.Key == "" || f.Key == r.Event.Key) &&
		isWithin(r.Added, f.From, f.To, now)
}

func isWithin(t time.Time, from, to outbox.Moment, now time.Time) bool {
	return (from.IsZero() || !t.Before(from.On(now))) && (to.IsZero() || t.Before(to.On(now)))
}
