package outbox

import (
	"context"
	"time"
)

// Admin is found by assertion on a Queue: what operators see and do. Its methods are safe for
// concurrent use, also with drainers at work, and may be repeated. Times that they take and return
// are on the store's clock.
type Admin interface {
	// Count tells how many rows there are. On large outboxes it takes its time.
	Count(ctx context.Context) (Counts, error)
	// List returns at most max rows that match, those added first at first.
	List(ctx context.Context, f Filter, max int) ([]Row, error)
	// Retry makes rows pending and due at once, with no attempts, and tells how many. It takes dead
	// rows, or with Filter.Status Pending those that wait for their backoff. Sent rows are for
	// Republish, and scheduled ones for Schedules.Move. An empty filter is ErrNoFilter.
	Retry(ctx context.Context, f Filter) (int, error)
	// Drop removes rows for good, and tells how many. It takes dead rows unless Filter.Status says
	// otherwise. What is being published meanwhile may have been; of scheduled rows those that it
	// tells are never published. An empty filter is ErrNoFilter.
	Drop(ctx context.Context, f Filter) (int, error)
	// Republish makes sent rows pending again that were marked as sent from one time to before
	// another, and whose topic matches, which may be a pattern; it tells how many. For what the bus
	// lost. They go out in the order of their keys, before later rows of these, under their old
	// ids, which consumers recognise. The bus stores them even if it knows them: it may know the
	// ids of what it has lost.
	Republish(ctx context.Context, topic string, from, to Moment) (int, error)
}

// Moment is a time on the store's clock, which is not that of who asks: a Time that the store has
// told, or so long Ago when the call is carried out. The zero Moment is none: it bounds nothing.
type Moment struct {
	Time time.Time
	Ago  time.Duration
}

// IsZero reports whether it is none.
func (m Moment) IsZero() bool { return m.Time.IsZero() && m.Ago == 0 }

// On is the time when the store's clock shows now. That of none is zero.
func (m Moment) On(now time.Time) time.Time {
	if m.Ago == 0 {
		return m.Time
	}
	return now.Add(-m.Ago)
}

// Counts of rows.
type Counts struct {
	Pending, Sent, Dead int
	// Scheduled are due later, or have been due for so short a time that no drainer has made them
	// pending.
	Scheduled int
	// Waiting is how many documents have events that are yet to become rows, in stores that move
	// them from there.
	Waiting int
	// Oldest is how long ago the oldest pending row was added, or became due if it was scheduled.
	// Zero: none is pending.
	Oldest time.Duration
}

// BacklogCounter is found by assertion on a Queue: what is left to do, at a cost that is bounded
// however large the outbox is, for metrics. It is safe for concurrent use.
type BacklogCounter interface {
	// CountBacklog counts most rows of a kind at most. It blocks for a round trip or two, and does
	// not retry.
	CountBacklog(ctx context.Context, most int) (Backlog, error)
}

// Backlog is what an outbox has left to do.
type Backlog struct {
	// Pending and Dead are how many rows there are, or as many as were counted at most. Scheduled
	// rows that are due count as pending: where no drainer runs nobody makes them so.
	Pending, Dead int
	// Scheduled is how many rows are due later: they are no backlog.
	Scheduled int
	// Oldest is how long ago the oldest of the pending rows that were counted was added, or became
	// due if it was scheduled. Zero: none is pending.
	Oldest time.Duration
}

// Filter selects rows: those that meet all of what is set.
type Filter struct {
	// IDs of events. None: any. Rows of one id on two topics are two rows: Topic says which.
	IDs []string
	// Topic of the events; it may be a pattern. Empty: any.
	Topic string
	// Key of the events. Empty: any.
	Key string
	// Status of the rows. Zero: any, or what the call says.
	Status Status
	// From and To bound when the row was added: at or after From, before To. Zero: unbounded.
	From, To Moment
}

// Empty reports whether the filter selects everything: nothing but Status is set.
func (f Filter) Empty() bool {
	return len(f.IDs) == 0 && f.Topic == "" && f.Key == "" && f.From.IsZero() && f.To.IsZero()
}

// ListUrgent returns at most max rows that match: dead ones first, then pending, scheduled and sent
// ones, and whether there are more. Filter.Status bounds it to one status.
func ListUrgent(ctx context.Context, a Admin, f Filter, max int) (rows []Row, more bool, err error) {
	statuses := Statuses()
	if f.Status != 0 {
		statuses = []Status{f.Status}
	}
	for _, s := range statuses {
		f.Status = s
		some, err := a.List(ctx, f, max+1-len(rows))
		if err != nil {
			return nil, false, err
		}
		if rows = append(rows, some...); len(rows) > max {
			return rows[:max], true, nil
		}
	}
	return rows, false, nil
}
