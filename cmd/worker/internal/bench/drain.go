package bench

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// drainOutbox publishes the rows of an outbox.
func (w *benchWorker) drainOutbox(ctx context.Context) error {
	d, err := outbox.NewDrainer(w.servers.queue, &confirmObserver{w.servers.bus, w.recorder}, &outbox.Options{Logger: w.log})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	if w.cell.Rate == 0 {
		w.beginAt(0, time.Now().UnixNano())
	}
	go func() { ended <- d.Run(ctx) }()
	w.subscribed()
	again := time.NewTicker(reportEvery)
	defer again.Stop()
	for {
		w.answers.Store(int64(d.Stats().Sent))
		select {
		case <-again.C:
		case err := <-ended:
			return errors.Join(err, w.failure())
		}
	}
}

// confirmObserver counts what a drainer publishes.
type confirmObserver struct {
	publisher bus.Publisher
	recorder  *recorder
}

// Publish implements bus.Publisher.
func (o *confirmObserver) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts, err := o.publisher.Publish(ctx, events...)
	now := time.Now()
	for i := range receipts {
		if receipts[i].Err == nil {
			o.recorder.confirmEvent(events[i].Data, receipts[i].Duplicate, now)
		}
	}
	return receipts, err
}

// confirmEvent counts an event that the bus has confirmed.
func (r *recorder) confirmEvent(data []byte, duplicate bool, now time.Time) {
	s, err := parseEventData(data, r.cell.total())
	if err != nil {
		r.fail(err)
		return
	}
	if duplicate {
		r.addDuplicate()
	}
	if duplicate && r.cell.Stage == StagePublish || !r.completeEvent(s.index, now.UnixNano()) {
		return // it was confirmed before
	}
	if r.cell.Rate > 0 {
		r.recordStep(dueToConfirmed, s.index, s.since(now))
	}
}
