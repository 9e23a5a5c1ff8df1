package telemetry

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// Observer records what one subscription does. It is all of the optional interfaces beside
// consumer.Observer.
type Observer struct {
	metrics    *Metrics
	deliveries *attributeCache[consumer.Outcome]
	letters    *attributeCache[string]
	batches    *attributeCache[consumer.BatchEnd]
	operations *attributeCache[operationLabel]
	storeCalls *attributeCache[storeLabel]
	topic      *attributes // the topic and the group alone

	answering time.Time // when the delivery was observed that is answered next

	watermarkStored atomic.Pointer[time.Time] // when the last one was
	paused          atomic.Bool
	breakers        *breakerStates
}

var (
	_ consumer.Observer          = (*Observer)(nil)
	_ consumer.AnswerObserver    = (*Observer)(nil)
	_ consumer.StoreObserver     = (*Observer)(nil)
	_ consumer.FetchObserver     = (*Observer)(nil)
	_ consumer.WatermarkObserver = (*Observer)(nil)
	_ consumer.PauseObserver     = (*Observer)(nil)
	_ consumer.LimitObserver     = (*Observer)(nil)
	_ consumer.CapacityObserver  = (*Observer)(nil)
	_ consumer.BatchObserver     = (*Observer)(nil)
)

// operationLabel is what measurements of one subscription's operations differ in.
type operationLabel struct{ operation, errorType string }

// storeLabel is what those of its calls of the store differ in.
type storeLabel struct{ call, errorType string }

// Observer returns an observer for the subscription of a group to a topic, or a pattern, as its
// consumer.Options.Observer. Both are labels. Each subscription needs its own, once.
func (m *Metrics) Observer(topic, group string) *Observer {
	own := func(more ...attribute.KeyValue) []attribute.KeyValue {
		return append([]attribute.KeyValue{keyTopic.String(topic), keyGroup.String(group)}, more...)
	}
	o := &Observer{
		metrics: m,
		topic:   newAttributes(own()...),
		deliveries: newAttributeCache(func(outcome consumer.Outcome) []attribute.KeyValue {
			return own(keyOutcome.String(string(outcome)))
		}),
		letters: newAttributeCache(func(reason string) []attribute.KeyValue { return own(keyReason.String(reason)) }),
		batches: newAttributeCache(func(end consumer.BatchEnd) []attribute.KeyValue { return own(keyEnd.String(string(end))) }),
		operations: newAttributeCache(func(l operationLabel) []attribute.KeyValue {
			kvs := append(operationAttributes(l.operation), keyDestination.String(topic), keyConsumerGroup.String(group))
			return withErrorType(kvs, l.errorType)
		}),
		storeCalls: newAttributeCache(func(l storeLabel) []attribute.KeyValue {
			if l.errorType == "" {
				return own(keyCall.String(l.call))
			}
			return own(keyCall.String(l.call), keyCallError.String(l.errorType))
		}),
		breakers: newBreakerStates(own),
	}
	o.startCounters()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observers[o] = struct{}{}
	return o
}

// startCounters shows counters that people wait for to grow before they do: how much a counter has
// grown by its first value cannot be told.
func (o *Observer) startCounters() {
	ctx, m := context.Background(), o.metrics
	m.fenced.Add(ctx, 0, o.topic.add...)
	m.deadLetters.Add(ctx, 0, o.letters.get(otherValue).add...)
	for _, known := range reasonClasses {
		m.deadLetters.Add(ctx, 0, o.letters.get(known.class).add...)
	}
}

// Observe implements consumer.Observer.
func (o *Observer) Observe(d consumer.Observation) {
	ctx, m := context.Background(), o.metrics
	as := o.deliveries.get(d.Outcome)
	m.deliveries.Add(ctx, 1, as.add...)
	switch d.Outcome {
	case consumer.OutcomeDead:
		m.deadLetters.Add(ctx, 1, o.letters.get(reasonClass(d.Reason)).add...)
	case consumer.OutcomeLost:
		m.fenced.Add(ctx, 1, o.topic.add...)
	default: // it is counted
	}
	if d.Attempt > 0 {
		if d.Outcome == consumer.OutcomeHandled || d.Outcome == consumer.OutcomeDead {
			m.attempts.Record(ctx, int64(d.Attempt), as.record...)
		}
		m.processDuration.Record(ctx, d.Took.Seconds(), o.operations.get(operationLabel{operationProcess, m.errorClass(d.Err)}).record...)
	}
	o.answering = time.Now()
}

// ObserveAnswer implements consumer.AnswerObserver.
func (o *Observer) ObserveAnswer(_ bus.Position, err error) {
	o.recordOperation(operationSettle, time.Since(o.answering), err)
}

// ObserveFetch implements consumer.FetchObserver.
func (o *Observer) ObserveFetch(f consumer.Fetch) {
	if f.Events > 0 {
		o.metrics.consumed.Add(context.Background(), int64(f.Events), o.operations.get(operationLabel{operationReceive, ""}).add...)
	}
	o.recordOperation(operationReceive, f.Took, f.Err)
}

func (o *Observer) recordOperation(operation string, took time.Duration, err error) {
	l := operationLabel{operation, o.metrics.errorClass(err)}
	o.metrics.operationDuration.Record(context.Background(), took.Seconds(), o.operations.get(l).record...)
}

// ObserveStoreCall implements consumer.StoreObserver.
func (o *Observer) ObserveStoreCall(c consumer.StoreCall) {
	ctx, m := context.Background(), o.metrics
	m.storeCalls.Record(ctx, c.Took.Seconds(), o.storeCalls.get(storeLabel{c.Operation, m.errorClass(c.Err)}).record...)
	m.storeItems.Record(ctx, int64(c.Items), o.storeCalls.get(storeLabel{c.Operation, ""}).record...)
}

// ObserveWatermark implements consumer.WatermarkObserver.
func (o *Observer) ObserveWatermark(bus.Position) {
	now := time.Now()
	o.watermarkStored.Store(&now)
}

// ObservePause implements consumer.PauseObserver.
func (o *Observer) ObservePause(by []string) { o.paused.Store(len(by) > 0) }

// ObserveLimitWait implements consumer.LimitObserver.
func (o *Observer) ObserveLimitWait(waited time.Duration, _ bool) {
	o.metrics.limiterWait.Record(context.Background(), waited.Seconds(), o.topic.record...)
}

// ObserveBatch implements consumer.BatchObserver.
func (o *Observer) ObserveBatch(r consumer.BatchRun) {
	o.metrics.batchSize.Record(context.Background(), int64(r.Size), o.batches.get(r.End).record...)
}

// ObserveCapacity implements consumer.CapacityObserver.
func (o *Observer) ObserveCapacity(gate int, c flow.Capacity) { o.breakers.note(gate, c) }
