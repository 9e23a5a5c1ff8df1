package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// fetchAtOnce is how many deliveries are fetched in a call.
const fetchAtOnce = 500

// consumeSource fetches from a source of the bus, and acks.
func (w *benchWorker) consumeSource(ctx context.Context) (err error) {
	src, err := w.servers.bus.Subscribe(ctx, w.cell.Topic(), w.cell.group(), &bus.SubscribeOptions{AckWait: leaseLength})
	if err != nil {
		return err
	}
	calls := context.WithoutCancel(ctx)
	defer func() { err = errors.Join(err, src.Close(calls)) }()
	w.subscribed()
	for ctx.Err() == nil {
		ds, err := src.Fetch(ctx, fetchAtOnce)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("fetch events: %w", err)
		}
		for _, d := range ds {
			w.consumeDelivery(d.Event.Data, d.Event.Headers[copyHeader] != nil, func() error { return d.Ack(calls) })
		}
		if err := w.failure(); err != nil {
			return err
		}
	}
	return nil
}

// consumePlain is the baseline: nats.go's Consume and Ack.
func (w *benchWorker) consumePlain(ctx context.Context) error {
	c, err := w.servers.js.CreateOrUpdateConsumer(ctx, w.cell.Name, jetstream.ConsumerConfig{
		Durable: w.cell.consumerName(), FilterSubject: w.cell.Topic(), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: leaseLength, MaxAckPending: bus.DefaultMaxUnsettled,
	})
	if err != nil {
		return fmt.Errorf("make the consumer of the baseline: %w", err)
	}
	failed := make(chan struct{}, 1)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		w.consumeDelivery(m.Data(), m.Headers()[copyHeader] != nil, m.Ack)
		if w.failure() != nil {
			select {
			case failed <- struct{}{}:
			default:
			}
		}
	})
	if err != nil {
		return fmt.Errorf("consume in the baseline: %w", err)
	}
	w.subscribed()
	select {
	case <-ctx.Done():
	case <-failed:
	}
	consuming.Stop()
	<-consuming.Closed()
	return w.failure()
}

// consumeDelivery is a handler that does nothing, and the ack. The second message of an event is
// acked, and counts as a duplicate.
func (w *benchWorker) consumeDelivery(data []byte, isCopy bool, ack func() error) {
	now := time.Now()
	s, err := parseEventData(data, w.cell.total())
	if err != nil {
		w.fail(err)
		return
	}
	if !isCopy {
		w.beginRun(s, now)
	}
	if err := ack(); err != nil {
		w.fail(fmt.Errorf("ack event %d: %w", s.index, err))
		return
	}
	w.answers.Add(1)
	acked := time.Now().UnixNano()
	if isCopy {
		w.addDuplicate()
		return
	}
	w.completeRun(s.index, acked, tookStep{handlerToAcked, acked - now.UnixNano()})
}
