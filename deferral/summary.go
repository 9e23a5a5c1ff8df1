package deferral

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// summarize is the handler of the subscription to the topic of deferred events. It is called for
// the first event of a key; the others of the key, which wait for it in the subscription, are
// claimed and settled with it, and are recognised as done, and counted as handled, when their turn
// comes.
func (t *Tracker) summarize(ctx context.Context, e bus.Event) error {
	head, err := decodeEvent(e, t.group)
	switch {
	case err != nil:
		return consumer.Permanent(err)
	case head.flush, head.foreign != "":
		return nil
	}
	a := consumer.AttemptFrom(ctx)
	head.own.Scope = a.Key.Scope
	if wait, due := t.ticks.isDue(a.At.Sequence); !due {
		return consumer.Snooze(wait)
	}
	t.index.ensure(head.key, t.newEntry(a.At, &head))
	b, err := t.collect(ctx, &head, a)
	if err != nil {
		return err
	}
	defer b.release()
	return b.run(ctx)
}

// run calls the handler, and settles what it was called for.
func (b *batch) run(ctx context.Context) error {
	t, began := b.tracker, time.Now()
	err := b.callHandler(ctx)
	items, itsOwn, err := b.verdicts(err)
	if done := b.settle(ctx, items); done > 0 {
		t.observe(Observation{Outcome: OutcomeProcessed, Key: b.head.key, Events: done, Took: time.Since(began)})
	}
	if err == nil {
		return b.headAgain()
	}
	t.observe(Observation{Outcome: OutcomeRetry, Key: b.head.key, Events: len(b.items), Took: time.Since(began), Err: err})
	if itsOwn {
		return err
	}
	return b.blame(ctx, err)
}

func (b *batch) callHandler(ctx context.Context) error {
	ctx, stop := b.keepClaims(ctx)
	defer stop()
	return b.tracker.handler(context.WithValue(ctx, runsKey{}, b.runs()), b.head.key, b.events())
}

// verdicts returns what became of each event, and the verdict of the head: its own, or that of the
// summary.
func (b *batch) verdicts(err error) (done []bool, itsOwn bool, verdict error) {
	done = make([]bool, len(b.items))
	each, ok := errors.AsType[ItemErrors](err)
	for i := range done {
		done[i] = err == nil || ok && i < len(each) && each[i] == nil
	}
	switch {
	case !ok || len(done) == 0:
		return done, false, err
	case len(each) > len(done):
		return make([]bool, len(done)), false, fmt.Errorf("the handler returned %d items for %d events", len(each), len(done))
	case len(each) == 0:
		return done, false, errors.New("the handler returned no items")
	}
	switch head := b.headIndex(); {
	case head < 0:
		return done, false, each[0]
	case head >= len(each):
		return done, true, fmt.Errorf("the handler returned %d items for %d events", len(each), len(done))
	default:
		return done, true, each[head]
	}
}

// headAgain returns what becomes of the event that the subscription has called for, once its
// summary is done. The summary may have been full before it was reached.
func (b *batch) headAgain() error {
	if b.hasHead() {
		return nil
	}
	return consumer.Snooze(0)
}

// blame returns the verdict on the event that the subscription has called for. It is not to blame
// if the handler was stopped for another process. It is if the summary was for it alone. Of
// several, nobody knows which, or whether they are too many: if they are refused for good, half as
// many are tried.
func (b *batch) blame(ctx context.Context, err error) error {
	switch {
	case b.lost:
		return consumer.Snooze(b.tracker.summary.Backoff.Base)
	case len(b.items) == 1 && b.hasHead():
		return err
	case !b.hasHead():
		return consumer.Snooze(b.tracker.summary.Backoff.Base)
	case !consumer.IsPermanent(err):
		return err
	}
	most := len(b.items) / 2
	if noted := consumer.KeepNote(ctx, noteMost+strconv.Itoa(most)); noted != nil {
		return errors.Join(errors.New(err.Error()), noted)
	}
	b.tracker.log.Warn("a summary was refused for good; making it of fewer events", "key", b.head.key, "events", len(b.items), "at_most", most, "error", err)
	return consumer.Snooze(0) // no verdict on it alone yet
}

// settledObserver is told what the subscription settles.
type settledObserver struct{ tracker *Tracker }

// Observe implements consumer.Observer.
func (s settledObserver) Observe(o consumer.Observation) {
	switch o.Outcome {
	case consumer.OutcomeDead:
		s.tracker.observe(Observation{Outcome: OutcomeProcessFailed, Events: 1, Err: o.Err})
		s.tracker.index.remove(o.At.Sequence)
	case consumer.OutcomeHandled, consumer.OutcomeDuplicate, consumer.OutcomeSkipped:
		s.tracker.index.remove(o.At.Sequence)
		s.tracker.summed.remove(o.At.Sequence)
	default: // it is redelivered
	}
}

// ObserveWatermark implements consumer.WatermarkObserver.
func (s settledObserver) ObserveWatermark(at bus.Position) { s.tracker.summed.removeUpTo(at.Sequence) }
