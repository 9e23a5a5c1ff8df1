package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/outbox"
)

var (
	_ outbox.Queue   = (*Queue)(nil)
	_ outbox.Admin   = (*Queue)(nil)
	_ outbox.Watcher = (*Queue)(nil)
)

// Queue is an outbox in memory. It is safe for concurrent use, starts no goroutine, and never
// blocks for longer than another call works, Watch aside.
type Queue struct {
	o Options

	mu         sync.Mutex
	rows       map[string]*row
	pending    shelf
	dead       map[string][]*row // by key; of keys that have one
	sent       []sending         // the oldest first; some are stale
	kept       int               // of sent, those that are not stale
	seq        uint64            // the last one assigned
	added      uint64            // how many were
	partitions []outbox.Holding
	owners     map[string]time.Time // until when they count
	watchers   map[*func()]struct{}
}

// row is a row, its due time and its place among those added.
type row struct {
	outbox.Row

	due    time.Time
	number uint64
}

// sending remembers when a row was sent. It is stale when the row has changed since.
type sending struct {
	row     *row
	version uint64
}

// New makes an empty outbox. Nil options are the default.
func New(o *Options) (*Queue, error) {
	v, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Queue{
		o: v, rows: map[string]*row{}, dead: map[string][]*row{}, partitions: make([]outbox.Holding, v.Partitions),
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

// wake calls those who watch, outside the lock.
func (q *Queue) wake() {
	q.mu.Lock()
	wakes := make([]func(), 0, len(q.watchers))
	for w := range q.watchers {
		wakes = append(wakes, *w)
	}
	q.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// place files a row under its status, having taken it from where it was.
func (q *Queue) place(r *row, status outbox.Status) {
	q.unplace(r)
	r.Status = status
	r.Version++
	q.file(r)
}

func (q *Queue) file(r *row) {
	switch r.Status {
	case outbox.Pending:
		q.pending.add(r)
	case outbox.Sent:
		q.sent = append(q.sent, sending{r, r.Version})
		q.kept++
	case outbox.Dead:
		if r.Event.Key != "" {
			q.dead[r.Event.Key] = append(q.dead[r.Event.Key], r)
		}
	}
}

func (q *Queue) unplace(r *row) {
	switch r.Status {
	case outbox.Pending:
		q.pending.remove(r)
	case outbox.Sent:
		q.kept-- // what is left in sent is stale
	case outbox.Dead:
		q.bury(r)
	}
}

// bury takes a row from the dead ones of its key.
func (q *Queue) bury(r *row) {
	rest := q.dead[r.Event.Key]
	for i := range rest {
		if rest[i] == r {
			rest = append(rest[:i:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(q.dead, r.Event.Key)
	} else {
		q.dead[r.Event.Key] = rest
	}
}

// remove forgets a row.
func (q *Queue) remove(r *row) {
	q.unplace(r)
	r.Version++
	delete(q.rows, r.ID)
}

// sweep forgets sent rows that are too old or too many.
func (q *Queue) sweep(now time.Time) {
	for len(q.sent) > 0 {
		s := q.sent[0]
		stale := s.row.Version != s.version
		if !stale && q.kept <= q.o.MaxSent && now.Sub(s.row.Sent) < q.o.Keep {
			return
		}
		q.sent[0] = sending{}
		q.sent = q.sent[1:]
		if !stale {
			q.remove(s.row)
		}
	}
}

// begin locks the store for one call, and says what time it is.
func (q *Queue) begin(ctx context.Context, call string) (now time.Time, end func(), err error) {
	if err := context.Cause(ctx); err != nil {
		return time.Time{}, nil, fmt.Errorf("memory outbox: %s: %w", call, err)
	}
	q.mu.Lock()
	now = q.o.Now()
	q.sweep(now)
	return now, q.mu.Unlock, nil
}
