package bench

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
)

// busSink publishes on the bus of this library.
type busSink struct {
	bus bus.Publisher
	*recorder

	// confirms: what is confirmed is what is measured.
	confirms bool
	// copies sends the second messages of events. Nil: the bus takes them like the first.
	copies *plainSink
}

func (b *busSink) send(ctx context.Context, stamps []eventStamp) error {
	events, copied := make([]bus.Event, 0, len(stamps)), []eventStamp(nil)
	for _, s := range stamps {
		events = append(events, b.cell.event(s))
		switch {
		case !b.cell.isCopied(s.index):
		case b.copies == nil:
			events = append(events, b.cell.copyEvent(s))
		default:
			copied = append(copied, s)
		}
	}
	if b.confirms {
		b.beginBatch(stamps, time.Now())
	}
	receipts, err := b.bus.Publish(ctx, events...)
	if err != nil {
		return fmt.Errorf("publish: %w", firstFailure(receipts, err))
	}
	if b.confirms {
		now := time.Now()
		for i, r := range receipts {
			b.confirmEvent(events[i].Data, r.Duplicate, now)
		}
	}
	if len(copied) == 0 {
		return nil
	}
	return b.copies.sendCopies(copied)
}

// firstFailure is err as the first event met it, for all of a batch mostly fail alike.
func firstFailure(receipts []bus.Receipt, err error) error {
	var failures []error
	for i := range receipts {
		if receipts[i].Err != nil {
			failures = append(failures, receipts[i].Err)
		}
	}
	switch len(failures) {
	case 0:
		return err
	case 1:
		return failures[0]
	}
	return fmt.Errorf("%w (and %d events more were not published)", failures[0], len(failures)-1)
}

func (b *busSink) finish(ctx context.Context) error {
	if b.copies == nil {
		return nil
	}
	return b.copies.finish(ctx)
}

// beginBatch notes when work on the first counted one of some events began.
func (r *recorder) beginBatch(stamps []eventStamp, now time.Time) {
	for _, s := range stamps {
		if r.cell.counts(s.index) {
			r.beginAt(s.index, now.UnixNano())
			return
		}
	}
}

// outboxSink adds events to an outbox.
type outboxSink struct {
	add func(ctx context.Context, events ...bus.Event) ([]string, error)
	*recorder
}

func (o *outboxSink) send(ctx context.Context, stamps []eventStamp) error {
	var events, copies []bus.Event
	for _, s := range stamps {
		e := o.cell.event(s)
		events = append(events, e)
		if o.cell.isCopied(s.index) {
			copies = append(copies, e)
		}
	}
	if _, err := o.add(ctx, events...); err != nil {
		return fmt.Errorf("add to the outbox: %w", err)
	}
	o.noteAdded(stamps)
	if len(copies) == 0 {
		return nil
	}
	if _, err := o.add(ctx, copies...); err != nil {
		return fmt.Errorf("add to the outbox again: %w", err)
	}
	for range copies {
		o.addDuplicate()
	}
	return nil
}

func (o *outboxSink) finish(context.Context) error { return nil }

// noteAdded counts how long it took until events were added, with a rate.
func (r *recorder) noteAdded(stamps []eventStamp) {
	if r.cell.Rate == 0 {
		return
	}
	now := time.Now()
	for _, s := range stamps {
		r.recordStep(dueToAdded, s.index, s.since(now))
	}
}

// insertSink is the baseline of an outbox: insertMany, and then whatever next does.
type insertSink struct {
	rows *mongo.Collection
	*recorder

	next sink // nil: nothing
}

// Fields of the baseline's rows.
const (
	fieldStatus = "status"
	fieldData   = "data"
	fieldSentAt = "sent_at"

	statusPending = "pending"
	statusSent    = "sent"
)

func (i *insertSink) send(ctx context.Context, stamps []eventStamp) error {
	rows := make([]any, len(stamps))
	for n, s := range stamps {
		rows[n] = bson.D{{Key: "_id", Value: i.cell.eventID(s.index)}, {Key: fieldStatus, Value: statusPending}, {Key: fieldData, Value: newEventData(s, i.cell.Size)}}
	}
	if _, err := i.rows.InsertMany(ctx, rows); err != nil {
		return fmt.Errorf("insert the rows of the baseline: %w", err)
	}
	i.noteAdded(stamps)
	if i.next == nil {
		return nil
	}
	return i.next.send(ctx, stamps)
}

func (i *insertSink) finish(ctx context.Context) error {
	if i.next == nil {
		return nil
	}
	return i.next.finish(ctx)
}
