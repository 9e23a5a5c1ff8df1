package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
)

// At returns rows of events that are to be published at a time, or later, by the store's clock: for
// AddRows of a store. A time that has come means at once.
func At(t time.Time, events ...bus.Event) []Row {
	rows := make([]Row, len(events))
	for i := range events {
		rows[i] = Row{Event: events[i], At: t}
	}
	return rows
}

// In returns rows of events that are to be published so long after they are added, or later, by the
// store's clock: unlike with At the clock of who adds them does not matter.
func In(d time.Duration, events ...bus.Event) []Row {
	rows := make([]Row, len(events))
	for i := range events {
		rows[i] = Row{Event: events[i], After: max(0, d)}
	}
	return rows
}

// Schedules is found by assertion on a Queue: rows that are due later, status Scheduled. Its
// methods are safe for concurrent use, also with drainers at work, block for a round trip or two,
// and do not retry. A row is scheduled until a drainer makes it pending, which is when it is due; a
// change of it either comes before that or has no effect, and says so.
type Schedules interface {
	// Scheduled returns scheduled rows that match, earliest first, and no more than limit. They
	// come behind after, which is the last row of the page before; the zero Row is before the first
	// one. Filter.Status does not matter.
	Scheduled(ctx context.Context, f Filter, after Row, limit int) ([]Row, error)
	// Cancel removes a scheduled row, whose id is Row.ID, or RowID of its event; the id of the
	// event alone finds none. A repeated call finds no row, and one that adds the event again
	// schedules it again.
	Cancel(ctx context.Context, rowID string) (Change, error)
	// Move makes a scheduled row due at another time, before or after its old one. A time that has
	// come means at once. In more than bus.MaxDelay is bus.ErrTooFar.
	Move(ctx context.Context, rowID string, t time.Time) (Change, error)
}

// Change is what Schedules.Cancel or Move has done.
type Change uint8

const (
	// NotFound: there is no such row. It was never added, was cancelled before, or was published
	// and removed since.
	NotFound Change = iota
	// Changed: the row was cancelled, and is never published; or it was moved.
	Changed
	// TooLate: the row was due before. It was published, is about to be, or is dead.
	TooLate
)

var changeNames = []string{"not found", "changed", "too late"}

// String is the change's name in lower case.
func (c Change) String() string { return nameOf(c, changeNames) }

// DueReleaser is found by assertion on a Queue, by Drainers: it makes scheduled rows pending.
type DueReleaser interface {
	// ReleaseDue makes scheduled rows pending that are due by the store's clock, those due first at
	// first, and about most of them in one call. Of one key a row is never pending before another
	// that is due before it, unless that was added later. It needs no lease; it is safe for
	// concurrent use, blocks for a round trip or two, does not retry, and may be repeated.
	ReleaseDue(ctx context.Context, most int) (Released, error)
}

// Released is what ReleaseDue has done.
type Released struct {
	// Rows is how many are pending now.
	Rows int
	// Next is how long it takes until the next row is due, for stores that know. Zero: none is due
	// soon, or it is not known.
	Next time.Duration
}

// DueOn returns when a row is due that is added now, by the store's clock; zero: at once. An error
// says why it cannot be added: it is due in more than bus.MaxDelay, or has a Seq as well. It is for
// stores.
func (r *Row) DueOn(now time.Time) (due time.Time, err error) {
	switch {
	case r.At.IsZero() && r.After <= 0:
		return time.Time{}, nil
	case r.Seq != 0:
		return due, fmt.Errorf("%w: event %.64q has Seq %d and is due later: rows that are scheduled are ordered earliest first: leave Seq zero",
			bus.ErrInvalidEvent, r.Event.ID, r.Seq)
	}
	if due = r.At; due.IsZero() {
		due = now.Add(r.After)
	}
	if err := bus.CheckDue(due, now); err != nil {
		return due, fmt.Errorf("event %.64q: %w", r.Event.ID, err)
	}
	if due = DueTime(due); !due.After(now) {
		return time.Time{}, nil
	}
	return due, nil
}

// DueTime is a time in whole milliseconds, as stores keep it: rounded up, so that nothing is
// published before its time.
func DueTime(t time.Time) time.Time {
	return t.Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond).UTC()
}

// DueSeq is the Seq of a scheduled row: rows are in the order in which they are due, and those due
// at the same time in their places in the call that added them. It is for stores.
func DueSeq(due time.Time, place int) uint64 {
	return uint64(max(0, due.UnixMilli()))*seqsOfMilli + uint64(min(place, seqsOfMilli-1)) // #nosec G115 -- neither is negative
}

// seqsOfMilli is how many places there are in a millisecond: rows that are not scheduled have
// nanoseconds for their Seq.
const seqsOfMilli = 1_000_000
