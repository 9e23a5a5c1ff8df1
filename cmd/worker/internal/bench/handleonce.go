package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// handleOnce subscribes exactly once, with a handler that does nothing.
func (w *benchWorker) handleOnce(ctx context.Context) error {
	sub, err := consumer.SubscribeExactlyOnce(ctx, w.servers.bus, w.cell.Topic(), w.cell.group(), w.servers.store,
		func(_ context.Context, e bus.Event) error { return w.handleEvent(e) },
		&consumer.Options{
			Concurrency: w.cell.Concurrency, Lease: leaseLength, AckWait: leaseLength, DeadLetter: w.cell.DeadLetters(),
			Observer: &markObserver{worker: w}, Logger: w.log,
		})
	if err != nil {
		return err
	}
	w.subscribed()
	<-sub.Done()
	return sub.Err()
}

func (w *benchWorker) handleEvent(e bus.Event) error {
	s, err := parseEventData(e.Data, w.cell.total())
	if err != nil {
		return consumer.Permanent(err)
	}
	w.beginRun(s, time.Now())
	w.endRun(s, time.Now())
	return nil
}

// markObserver counts what is marked and acked. One goroutine at a time calls it.
type markObserver struct {
	worker *benchWorker
	// marked is when the event of index was seen to be marked, in nanoseconds since 1970. 0: the
	// delivery that is being answered was not handled.
	index  int
	marked int64
}

var (
	_ consumer.Observer       = (*markObserver)(nil)
	_ consumer.AnswerObserver = (*markObserver)(nil)
)

// Observe implements consumer.Observer.
func (o *markObserver) Observe(n consumer.Observation) {
	o.marked = 0
	switch n.Outcome {
	case consumer.OutcomeHandled:
		index, err := o.worker.cell.indexOf(n.Key.ID)
		if err != nil {
			o.worker.fail(err)
			return
		}
		o.index, o.marked = index, time.Now().UnixNano()
	case consumer.OutcomeDuplicate:
		o.worker.addDuplicate()
	case consumer.OutcomeDead:
		o.worker.fail(fmt.Errorf("event %s was given up: %w", n.Key.ID, n.Err))
	default: // it has not ended
	}
}

// ObserveAnswer implements consumer.AnswerObserver.
func (o *markObserver) ObserveAnswer(at bus.Position, err error) {
	if err != nil {
		o.worker.fail(fmt.Errorf("answer the delivery at sequence %d: %w", at.Sequence, err))
		return
	}
	o.worker.answers.Add(1)
	if o.marked == 0 {
		return
	}
	acked := time.Now().UnixNano()
	o.worker.completeRun(o.index, acked,
		tookStep{handlerToMarked, o.marked - o.worker.ended[o.index].Load()}, tookStep{markedToAcked, acked - o.marked})
	o.marked = 0
}
