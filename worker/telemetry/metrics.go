package telemetry

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onceish/onceish/bus"
)

// Metrics records measurements. Its methods are safe for concurrent use.
type Metrics struct {
	*instruments

	errorTypes   boundedValues
	destinations boundedValues
	sending      *attributeCache[sendLabel]
	buildLabels  *attributes
	topicLabels  *attributeCache[topicLabel]
	moveLabels   *attributeCache[moveLabel]
	groupLabels  *attributeCache[string]
	outboxLabels *attributeCache[string]
	registration metric.Registration

	mu        sync.Mutex
	observers map[*Observer]struct{}
	sources   map[*source]struct{}
}

// Options of New. The zero value means the defaults.
type Options struct {
	// Version is that of the program, as the metric of its build has it. Empty: "unknown".
	Version string
}

// New returns metrics whose measurements go to the provider. It is an error if an instrument cannot
// be made. Close it when nothing is measured any more.
func New(provider metric.MeterProvider, o *Options) (*Metrics, error) {
	if provider == nil {
		return nil, errors.New("telemetry: the meter provider is nil: use otel.GetMeterProvider, or one of the SDK")
	}
	version := "unknown"
	if o != nil && o.Version != "" {
		version = o.Version
	}
	meter := provider.Meter(Scope)
	made, err := newInstruments(meter)
	if err != nil {
		return nil, err
	}
	m := &Metrics{
		instruments: made,
		sending:     newAttributeCache(sendLabel.attributes),
		buildLabels: newAttributes(keyVersion.String(version), keyGoVersion.String(runtime.Version())),
		topicLabels: newAttributeCache(topicLabel.attributes),
		moveLabels:  newAttributeCache(moveLabel.attributes),
		groupLabels: newAttributeCache(func(group string) []attribute.KeyValue { return []attribute.KeyValue{keyGroup.String(group)} }),
		outboxLabels: newAttributeCache(func(outbox string) []attribute.KeyValue {
			return []attribute.KeyValue{keyOutbox.String(outbox)}
		}),
		observers: make(map[*Observer]struct{}), sources: make(map[*source]struct{}),
	}
	m.registration, err = meter.RegisterCallback(m.collect, made.gauges()...)
	return m, err
}

// Close ends the collection of gauges. What is recorded after it is recorded still.
func (m *Metrics) Close() error { return m.registration.Unregister() }

// topicLabel are the labels of a gauge of a subscription.
type topicLabel struct{ topic, group string }

func (l topicLabel) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{keyTopic.String(l.topic), keyGroup.String(l.group)}
}

// moveLabel are the labels of the count of a subscription's moves.
type moveLabel struct {
	topicLabel

	move string
}

func (l moveLabel) attributes() []attribute.KeyValue {
	return append(l.topicLabel.attributes(), keyMove.String(l.move))
}

// sendLabel is what measurements of publishing differ in.
type sendLabel struct{ topic, errorType string }

func (l sendLabel) attributes() []attribute.KeyValue {
	kvs := operationAttributes(operationSend)
	if l.topic != "" {
		kvs = append(kvs, keyDestination.String(l.topic))
	}
	return withErrorType(kvs, l.errorType)
}

// operationAttributes are those that all measurements of an operation have.
func operationAttributes(operation string) []attribute.KeyValue {
	return []attribute.KeyValue{keySystem.String(system), keyOperation.String(operation), keyOperationType.String(operation)}
}

func withErrorType(kvs []attribute.KeyValue, class string) []attribute.KeyValue {
	if class == "" {
		return kvs
	}
	return append(kvs, keyErrorType.String(class))
}

// ObservePublish records one call of bus.Publisher.Publish: what was published, what became of each
// event, and how long the call took.
func (m *Metrics) ObservePublish(events []bus.Event, receipts []bus.Receipt, took time.Duration) {
	sent, call := make(map[sendLabel]int64, 1), sendLabel{}
	for i := range min(len(events), len(receipts)) {
		l := sendLabel{m.destinations.admit(bus.LogicalTopic(events[i].Topic)), m.errorClass(receipts[i].Err)}
		sent[l]++
		switch {
		case i == 0:
			call.topic = l.topic
		case call.topic != l.topic:
			call.topic = "" // a call for several topics is that of none
		}
		if call.errorType == "" {
			call.errorType = l.errorType
		}
	}
	ctx := context.Background()
	for l, n := range sent {
		m.sent.Add(ctx, n, m.sending.get(l).add...)
	}
	if len(sent) > 0 {
		m.operationDuration.Record(ctx, took.Seconds(), m.sending.get(call).record...)
	}
}
