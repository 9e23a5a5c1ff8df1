package deferral

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/backoff"
)

// catchUp reads the topic up to its end, from what is known to be done.
func (t *Tracker) catchUp(ctx context.Context) error {
	after, err := t.settledUpTo(ctx)
	if err != nil {
		return err
	}
	t.read = after
	t.index.skip(after.Sequence)
	if err := t.readOn(ctx, bus.Until{}); err != nil {
		return err
	}
	return t.forgetDone(ctx, t.index.all(^uint64(0)))
}

// settledUpTo returns the watermark of the group on the topic, if the store keeps one of the stream
// as it is.
func (t *Tracker) settledUpTo(ctx context.Context) (bus.Position, error) {
	watermarks, ok := t.store.(dedupe.Watermarker)
	if !ok {
		return bus.Position{}, nil
	}
	info, err := t.bus.Topic(ctx, t.topic, t.group, bus.Start{})
	if err != nil {
		return bus.Position{}, err
	}
	kept, err := watermarks.Watermarks(ctx, t.group, t.topic)
	if err != nil {
		return bus.Position{}, err
	}
	for _, w := range kept {
		if w.Stream == info.Last.Stream && w.Sequence > 0 && w.Sequence <= info.Last.Sequence {
			return bus.Position(w.Position), nil
		}
	}
	return bus.Position{}, nil
}

// follow reads the topic as it grows, until ctx ends.
func (t *Tracker) follow(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		before := t.read
		err := t.readOn(ctx, bus.Until{Follow: true})
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, bus.ErrStreamReplaced) {
			t.log.Warn("the stream of the deferred events was replaced: reading it from its beginning", "error", err)
			t.read = bus.Position{}
			t.index.reset()
			t.summed.reset()
			t.ticks.reset()
			continue
		}
		if t.read != before {
			failures = 0
		}
		t.observeError("the topic of deferred events cannot be read; retrying", err)
		if backoff.Sleep(ctx, backoff.Doubled(100*time.Millisecond, failures, 10*time.Second)) != nil {
			return
		}
	}
}

// readOn reads what was not read yet.
func (t *Tracker) readOn(ctx context.Context, until bus.Until) error {
	r := bus.Range{From: bus.From{After: t.read}, Until: until, HeadersOnly: true}
	for s, err := range t.bus.Read(ctx, t.topic, r) {
		if dropped, ok := errors.AsType[*bus.DroppedError](err); ok {
			t.index.removeUpTo(dropped.Last)
			continue
		}
		if err != nil {
			return err
		}
		t.read = s.At
		t.indexEvent(&s)
	}
	return nil
}

// indexEvent takes in an event that was read.
func (t *Tracker) indexEvent(s *bus.Stored) {
	d, err := decodeEvent(s.Event, t.group)
	switch {
	case err != nil || s.Malformed != nil:
		t.index.skip(s.At.Sequence) // it is dead-lettered when it is delivered
	case d.foreign != "":
		t.index.skip(s.At.Sequence)
		t.ticks.setUnacked(true)
		t.ticks.poke()
	case d.flush:
		t.index.skip(s.At.Sequence)
		t.ticks.flush(s.At.Sequence)
	default:
		t.index.add(d.key, t.newEntry(s.At, &d))
	}
}

// newEntry returns the entry of an event, whose interval counts from when it was stored: by the
// local clock, which may be another than the bus's.
func (t *Tracker) newEntry(at bus.Position, d *deferredEvent) entry {
	now := time.Now()
	age := min(max(0, now.Sub(at.Stored)), t.Config().Interval)
	return entry{at: at, id: d.own.Topic + " " + d.own.ID, scope: d.own.Scope, since: now.Add(-age)}
}

// storeKey is what the store knows a deferred event by.
func (t *Tracker) storeKey(e *entry) dedupe.Key {
	return dedupe.Key{Topic: t.topic, Group: t.group, ID: e.id, Scope: e.scope}
}

// forgetGone forgets those of the events that are no longer stored.
func (t *Tracker) forgetGone(ctx context.Context, es []entry) error {
	for len(es) > 0 {
		some := es[:min(checkBatch, len(es))]
		es = es[len(some):]
		at := make([]bus.Position, 0, len(some))
		for i := range some {
			if !some[i].at.Stored.IsZero() {
				at = append(at, some[i].at)
			}
		}
		there, err := bus.Exists(ctx, t.bus, at)
		if errors.Is(err, errors.ErrUnsupported) {
			return nil // then they are missed when they are read
		}
		if err != nil {
			return err
		}
		for i := range at {
			if !there[i] {
				t.log.Error("a deferred event was dropped before it was summed up (retention or purge)", "at", at[i].Sequence)
				t.index.remove(at[i].Sequence)
			}
		}
	}
	return nil
}

// checkBatch is about how many events the store is asked at once.
const checkBatch = 1000

// forgetDone asks the store which of these events are done, perhaps by another process, and forgets
// those.
func (t *Tracker) forgetDone(ctx context.Context, es []entry) error {
	for len(es) > 0 {
		some := es[:min(checkBatch, len(es))]
		es = es[len(some):]
		keys := make([]dedupe.Key, len(some))
		for i := range some {
			keys[i] = t.storeKey(&some[i])
		}
		records, err := t.store.Seen(ctx, keys)
		if err != nil {
			return err
		}
		var done []uint64
		for i, r := range records {
			if r.State == dedupe.Done || r.State == dedupe.Dead {
				done = append(done, some[i].at.Sequence)
			}
		}
		t.index.remove(done...)
	}
	return nil
}
