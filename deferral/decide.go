package deferral

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Decision is what is to become of an event.
type Decision uint8

const (
	// Immediate: whoever asked deals with the event at once.
	Immediate Decision = iota
	// Deferred: the event is stored, and will be in a summary.
	Deferred
	// Ignored: nothing was decided.
	Ignored
)

// String returns the decision in lower case.
func (d Decision) String() string {
	switch d {
	case Immediate:
		return "immediate"
	case Deferred:
		return "deferred"
	case Ignored:
	}
	return "ignored"
}

// The notes by which the row of an event has its decision.
const (
	noteImmediate = "deferral: immediate"
	noteDeferred  = "deferral: deferred"
	// noteMost begins the note of a deferred event whose summary is to have fewer events: how many
	// at most.
	noteMost = "deferral: at most "
)

func (d Decision) note() string {
	if d == Deferred {
		return noteDeferred
	}
	return noteImmediate
}

// decisionOf reads a note.
func decisionOf(note string) (d Decision, ok bool) {
	switch note {
	case noteImmediate:
		return Immediate, true
	case noteDeferred:
		return Deferred, true
	}
	return Ignored, false
}

// checkEvery is how often the store is asked whether another process has summed up the events of a
// key, while later ones come.
const checkEvery = time.Second

// decide decides about an event of a key. A Deferred one is reserved in the index: release ends
// that.
func (t *Tracker) decide(ctx context.Context, key string) (d Decision, overflow bool, err error) {
	if es := t.index.toCheck(key, time.Now(), checkEvery, checkBatch); len(es) > 0 {
		if err := t.forgetDone(ctx, es); err != nil {
			return Ignored, false, err
		}
	}
	if t.index.tryReserve(key) {
		return Deferred, false, nil
	}
	t.mu.Lock()
	limiter, config := t.limiter, t.config
	t.mu.Unlock()
	answer, err := limiter.Allow(ctx, key, 1)
	switch {
	case err != nil:
		return Ignored, false, err
	case answer.Allowed && !t.index.tryReserve(key): // nobody has deferred one meanwhile
		return Immediate, false, nil
	case answer.Allowed, t.index.reserve(key, config.MaxKeys):
		return Deferred, false, nil
	case config.Overflow == DeadLetter:
		return Ignored, true, fmt.Errorf("%w: %d keys: raise Config.MaxKeys, or set Config.Overflow to Run", ErrOverflow, config.MaxKeys)
	}
	return Immediate, true, nil
}

// publish stores a deferred event for its summary, and ends its reservation.
func (t *Tracker) publish(ctx context.Context, e bus.Event, key string, own dedupe.Key) error {
	d := deferredEvent{own: own}
	out := t.newEntry(bus.Position{Stored: time.Now()}, &d)
	out.at = bus.Position{}
	defer func() { t.index.release(key, out) }()
	receipts, err := t.bus.Publish(ctx, encodeEvent(e, t.topic, key, own))
	if err != nil {
		return err
	}
	if len(receipts) == 1 {
		out.at.Sequence = receipts[0].Sequence
	}
	return nil
}

// isRefused reports whether the bus will never take the event.
func isRefused(err error) bool {
	return errors.Is(err, bus.ErrTooLarge) || errors.Is(err, bus.ErrInvalidEvent) || errors.Is(err, bus.ErrRefused)
}

// Apply has a subscription of the group defer events: it appends the Tracker's middleware to o.Use,
// innermost. It refuses modes in which no decision can be kept. A subscription must end before the
// Tracker's Run does. One to a pattern that covers the Tracker's topic too leaves the events there
// to the Tracker.
func (t *Tracker) Apply(o *consumer.Options) error {
	if o.Mode != consumer.Claimed {
		return fmt.Errorf("%w: a subscription that defers events needs consumer.Options.Mode Claimed, in which a decision can be kept with the claim", ErrConfig)
	}
	o.Use = append(slices.Clip(o.Use), t.wrap)
	return nil
}

// wrap is the middleware around the handler of events that run at once.
func (t *Tracker) wrap(h consumer.Handler) consumer.Handler {
	return func(ctx context.Context, e bus.Event) error {
		if e.Topic == t.topic {
			t.warnOfPattern.Do(func() {
				t.log.Warn("a subscription that defers events covers the topic of deferred events; it leaves these to their summaries", "event", e.ID)
			})
			return nil
		}
		key := t.options.Key(e)
		if key == "" {
			return h(ctx, e)
		}
		d, err := t.decideRun(ctx, key)
		if err != nil {
			return err
		}
		if d == Immediate {
			return h(ctx, e)
		}
		err = t.publish(ctx, e, key, consumer.AttemptFrom(ctx).Key)
		switch {
		case err == nil:
			t.observe(Observation{Outcome: OutcomeDeferred, Key: key, Events: 1})
			return nil
		case isRefused(err):
			return t.runRefused(ctx, e, key, h, err)
		}
		t.observeError("an event could not be deferred; it will be retried", err)
		return consumer.Unavailable(fmt.Errorf("defer the event: %w", err))
	}
}

// decideRun returns the decision for a run: the one that an earlier run has noted, or a new one
// that is noted before anything is done about it. A Deferred one is reserved.
func (t *Tracker) decideRun(ctx context.Context, key string) (Decision, error) {
	if d, ok := decisionOf(consumer.AttemptFrom(ctx).Note); ok {
		t.observe(Observation{Outcome: OutcomeIgnored, Key: key, Events: 1})
		if d == Deferred {
			t.index.reserve(key, 0)
		}
		return d, nil
	}
	d, overflow, err := t.decide(ctx, key)
	switch {
	case errors.Is(err, ErrOverflow):
		t.observe(Observation{Outcome: OutcomeError, Key: key, Events: 1, Overflow: true, Err: err})
		return d, consumer.Permanent(err)
	case err != nil:
		t.observeError("whether an event may run at once cannot be decided; it will be retried", err)
		return d, consumer.Unavailable(fmt.Errorf("decide whether the event is deferred: %w", err))
	}
	if err := consumer.KeepNote(ctx, d.note()); err != nil {
		if d == Deferred {
			t.index.release(key, entry{})
		}
		t.observeError("a decision could not be kept; the event will be retried", err)
		return d, consumer.Unavailable(err)
	}
	if d == Immediate {
		t.observe(Observation{Outcome: OutcomeImmediate, Key: key, Events: 1, Overflow: overflow})
	}
	return d, nil
}

// runRefused runs an event that was to be deferred, and that the bus does not take once more.
func (t *Tracker) runRefused(ctx context.Context, e bus.Event, key string, h consumer.Handler, why error) error {
	if err := consumer.KeepNote(ctx, noteImmediate); err != nil {
		return consumer.Unavailable(err)
	}
	t.log.Warn("the bus does not take an event for its summary; it runs at once", "event", e.ID, "key", key, "error", why)
	t.observe(Observation{Outcome: OutcomeImmediate, Key: key, Events: 1, Overflow: true, Err: why})
	return h(ctx, e)
}
