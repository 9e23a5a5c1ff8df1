package projector

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// fillBatch and fillBytes bound what is read before it is written, in events and in bytes of data.
const (
	fillBatch = 500
	fillBytes = 4 << 20
)

// Fill reads the events that are stored when it begins, up to their end, into the shadow. It goes
// on where the last call ended, which may have been another process's. Events that cannot be
// projected are counted and left out. Any other error ends it, and it may be called again.
func (r *Rebuild) Fill(ctx context.Context) (Progress, error) {
	g, err := r.begin(ctx)
	if err != nil {
		return Progress{}, r.fail("go on with", err)
	}
	if err = r.fill(ctx, r.shadow, g); err != nil {
		err = r.fail("go on with", err)
	}
	out, parse := g.public()
	return out, errors.Join(err, parse)
}

// fill reads what lies behind the progress into a collection.
func (r *Rebuild) fill(ctx context.Context, coll *driver.Collection, g *progress) error {
	at, err := bus.ParsePosition(g.At)
	if err != nil {
		return err
	}
	b := fillingBatch{r: r, coll: coll, progress: g}
	for s, err := range r.history.Read(ctx, r.topic, bus.Range{From: bus.From{After: at}, Partitions: true}) {
		if dropped, ok := errors.AsType[*bus.DroppedError](err); ok && r.o.Incomplete {
			_ = dropped
			continue
		}
		if err != nil {
			return fmt.Errorf("read %q: %w", r.topic, err)
		}
		if err := b.add(ctx, &s); err != nil {
			return err
		}
	}
	return b.write(ctx)
}

// fillingBatch is events that were read and not written yet.
type fillingBatch struct {
	r        *Rebuild
	coll     *driver.Collection
	progress *progress
	items    []*item
	bytes    int
	read     int64
	last     bus.Position
}

// add takes an event, and writes the batch once it is full.
func (b *fillingBatch) add(ctx context.Context, s *bus.Stored) error {
	b.read++
	b.last = s.At
	b.bytes += len(s.Event.Data)
	if it := b.r.newItem(ctx, s); it != nil {
		b.items = append(b.items, it)
	} else {
		b.progress.Skipped++
	}
	if len(b.items) < fillBatch && b.bytes < fillBytes {
		return nil
	}
	return b.write(ctx)
}

// newItem plans what an event changes; nil if it is for another group.
func (r *Rebuild) newItem(ctx context.Context, s *bus.Stored) *item {
	control, _ := s.Event.Control() // zero if it is another event's
	if control.Group != "" && control.Group != r.group {
		return nil
	}
	e := s.Event.WithoutControl()
	e.Topic = bus.LogicalTopic(e.Topic)
	it := &item{ctx: ctx, event: e, key: dedupe.Key{Topic: e.Topic, Group: r.group, ID: e.Identity(), Scope: dedupe.AgainScope(control.Again)}}
	if s.Malformed != nil {
		it.err = consumer.Permanent(fmt.Errorf("malformed: %w", s.Malformed))
		return it
	}
	it.redriven = control.Redriven != ""
	r.p.plan(it, s.Original())
	return it
}

// write writes the batch, marks its events, and saves the progress, in this order: what is repeated
// after a crash is written once more, which changes nothing.
func (b *fillingBatch) write(ctx context.Context) error {
	if b.read == 0 {
		return nil
	}
	fresh, keys, err := b.unread(ctx)
	if err == nil {
		err = b.r.p.write(ctx, b.coll, planned(fresh))
	}
	if err == nil {
		err = b.countRefused(fresh)
	}
	if err == nil {
		err = b.r.markRead(ctx, keys)
	}
	if err != nil {
		return err
	}
	g := b.progress
	g.At, g.Events = b.last.String(), g.Events+b.read
	b.items, b.bytes, b.read = nil, 0, 0
	return g.save(ctx, b.coll)
}

// countRefused counts the events that could not be projected. Other errors are returned.
func (b *fillingBatch) countRefused(items []*item) error {
	for _, it := range items {
		switch {
		case it.err == nil:
		case consumer.IsPermanent(it.err):
			b.progress.Refused++
			b.progress.Refusal = fmt.Sprintf("event %.128q: %.512s", it.event.ID, it.err)
		default:
			return fmt.Errorf("event %.128q: %w", it.event.ID, it.err)
		}
	}
	return nil
}

// unread returns the items whose event was not read before, and the keys to mark. A copy that was
// redriven is no copy to a rebuild: its event may have been edited, and keeps its place otherwise.
func (b *fillingBatch) unread(ctx context.Context) (fresh []*item, keys []dedupe.Key, err error) {
	for _, it := range b.items {
		keys = append(keys, b.progress.keyOf(it))
	}
	known, err := b.r.store.Seen(ctx, keys)
	if err != nil {
		return nil, nil, fmt.Errorf("look up which events were read before: %w", err)
	}
	seen := make(map[dedupe.Key]bool, len(keys))
	var marks []dedupe.Key
	for i, it := range b.items {
		if known[i].Err != nil {
			return nil, nil, fmt.Errorf("look up whether event %.128q was read before: %w", it.event.ID, known[i].Err)
		}
		if !it.redriven && (seen[keys[i]] || known[i].State == dedupe.Done) {
			b.progress.Skipped++
			continue
		}
		if !seen[keys[i]] {
			marks = append(marks, keys[i])
		}
		seen[keys[i]] = true
		fresh = append(fresh, it)
	}
	return fresh, marks, nil
}

// keyOf is what the store knows an event of this rebuild by.
func (g *progress) keyOf(it *item) dedupe.Key {
	k := it.key
	k.Group += "/rebuild/" + g.Rebuild
	return k
}

// markRead marks events as read.
func (r *Rebuild) markRead(ctx context.Context, keys []dedupe.Key) error {
	if len(keys) == 0 {
		return nil
	}
	marks := make([]dedupe.Mark, len(keys))
	for i, k := range keys {
		marks[i] = dedupe.Mark{Key: k, State: dedupe.Done, TTL: r.o.MarkTTL}
	}
	errs, err := r.store.Mark(ctx, marks)
	if err := errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("mark which events were read: %w", err)
	}
	return nil
}
