package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/outbox"
)

var (
	_ outbox.Queue       = (*Queue)(nil)
	_ outbox.Admin       = (*Queue)(nil)
	_ outbox.Watcher     = (*Queue)(nil)
	_ outbox.Schedules   = (*Queue)(nil)
	_ outbox.DueReleaser = (*Queue)(nil)
)

// Queue is an outbox in memory. It is safe for concurrent use, starts no goroutine, and never
// blocks for longer than another call works, Watch aside.
type Queue struct {
	o Options

	mu         sync.Mutex
	rows       map[string]*queueRow
	pending    pendingIndex
	scheduled  []*queueRow            // earliest first
	dead       map[string][]*queueRow // by key; of keys that have one
	sent       []sentRow              // the oldest first; some are stale
	kept       int                    // of sent, those that are not stale
	seq        uint64                 // the last one assigned
	added      uint64                 // how many were
	partitions []outbox.Holding
	owners     map[string]time.Time // until when they count
	watchers   map[*func()]struct{}
}

// queueRow is a row, its due time and its place among those added.
type queueRow struct {
	outbox.Row

	due    time.Time
	number uint64
}

// sentRow remembers when a row was sent. It is stale when the row has changed since.
type sentRow struct {
	row     *queueRow
	version uint64
}

// New makes an empty outbox. Nil options are the default.
func New(o *Options) (*Queue, error) {
	v, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Queue{
		o: v, rows: map[string]*queueRow{}, dead: map[string][]*queueRow{}, partitions: make([]outbox.Holding, v.Partitions),
		owners: map[string]time.Time{}, watchers: map[*func()]struct{}{},
	}, nil
}

// Watch implements outbox.Watcher: wake is called by what adds rows or makes them pending.
func (q *Queue) Watch(ctx context.Context, wake func()) error {
	q.mu.Lock()
	q.watchers[&wake] = struct{}{}
	q.mu.Unlock()
	<-ctx.Done()
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.watchers, &wake)
	return context.Cause(ctx)
}

// wakeWatchers calls those who watch, outside the lock.
func (q *Queue) wakeWatchers() {
	q.mu.Lock()
	wakes := slices.Collect(maps.Keys(q.watchers))
	q.mu.Unlock()
	for _, wake := range wakes {
		(*wake)()
	}
}

// setStatus files a row under its status, having taken it from where it was.
func (q *Queue) setStatus(r *queueRow, status outbox.Status) {
	q.unfileRow(r)
	r.Status = status
	r.Version++
	q.fileRow(r)
}

func (q *Queue) fileRow(r *queueRow) {
	switch r.Status {
	case outbox.Pending:
		q.pending.add(r)
	case outbox.Scheduled:
		q.addScheduled(r)
	case outbox.Sent:
		q.sent = append(q.sent, sentRow{r, r.Version})
		q.kept++
	case outbox.Dead:
		if r.Event.Key != "" {
			q.dead[r.Event.Key] = append(q.dead[r.Event.Key], r)
		}
	}
}

func (q *Queue) unfileRow(r *queueRow) {
	switch r.Status {
	case outbox.Pending:
		q.pending.remove(r)
	case outbox.Scheduled:
		q.removeScheduled(r)
	case outbox.Sent:
		q.kept-- // what is left in sent is stale
	case outbox.Dead:
		q.removeDead(r)
	}
}

func (q *Queue) removeDead(r *queueRow) {
	rest := slices.DeleteFunc(q.dead[r.Event.Key], func(d *queueRow) bool { return d == r })
	if len(rest) == 0 {
		delete(q.dead, r.Event.Key)
	} else {
		q.dead[r.Event.Key] = rest
	}
}

func (q *Queue) removeRow(r *queueRow) {
	q.unfileRow(r)
	r.Version++
	delete(q.rows, r.ID)
}

// sweepSent forgets sent rows that are too old or too many.
func (q *Queue) sweepSent(now time.Time) {
	for len(q.sent) > 0 {
		s := q.sent[0]
		stale := s.row.Version != s.version
		if !stale && q.kept <= q.o.MaxSent && now.Sub(s.row.Sent) < q.o.Keep {
			return
		}
		q.sent[0] = sentRow{}
		q.sent = q.sent[1:]
		if !stale {
			q.removeRow(s.row)
		}
	}
}

// beginCall locks the store for one call, and says what time it is.
func (q *Queue) beginCall(ctx context.Context, call string) (now time.Time, end func(), err error) {
	if err := context.Cause(ctx); err != nil {
		return time.Time{}, nil, fmt.Errorf("memory outbox: %s: %w", call, err)
	}
	q.mu.Lock()
	now = q.o.Now()
	q.sweepSent(now)
	return now, q.mu.Unlock, nil
}
