package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/outbox"
)

// Pending implements outbox.Queue.
func (q *Queue) Pending(ctx context.Context, a outbox.Ask) (outbox.Page, error) {
	if a.Rows <= 0 || a.Bytes <= 0 {
		return outbox.Page{}, fmt.Errorf("memory outbox: Ask.Rows is %d, Ask.Bytes %d: both must be above 0", a.Rows, a.Bytes)
	}
	now, end, err := q.beginCall(ctx, "pending")
	if err != nil {
		return outbox.Page{}, err
	}
	defer end()
	page := outbox.Page{Rows: make([]outbox.Row, 0, min(a.Rows, q.pending.n))}
	bytes, full := 0, false
	q.pending.ascendFrom(a.From, func(r *queueRow) bool {
		switch {
		case r.Hash > a.To:
			return false
		case !a.PastDead && q.isBlocked(r):
			return true
		case full:
			last := page.Rows[len(page.Rows)-1].Hash
			page.Next, page.Cut = last+1, r.Hash == last
			return false
		}
		page.Rows = append(page.Rows, r.snapshotAt(now))
		bytes += outbox.Size(&r.Event)
		full = len(page.Rows) >= a.Rows || bytes >= a.Bytes
		return true
	})
	if page.Next > a.To {
		page.Next = 0
	}
	return page, nil
}

// isBlocked reports whether a row comes behind a dead one of its key.
func (q *Queue) isBlocked(r *queueRow) bool {
	return slices.ContainsFunc(q.dead[r.Event.Key], func(d *queueRow) bool { return compareInKey(d, r) < 0 })
}

func (r *queueRow) snapshotAt(now time.Time) outbox.Row {
	out := r.Row
	if out.Status == outbox.Pending || out.Status == outbox.Scheduled {
		out.After = max(0, r.due.Sub(now))
	}
	return out
}
