package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// maxValues is how many values a label has whose values are not known beforehand. Further ones are
// otherValue.
const (
	maxValues  = 50
	otherValue = "other"
)

// boundedValues are the values of such a label. It is safe for concurrent use.
type boundedValues struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// admit returns the value, or otherValue where there are enough.
func (b *boundedValues) admit(value string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.seen[value]; ok {
		return value
	}
	if len(b.seen) >= maxValues {
		return otherValue
	}
	if b.seen == nil {
		b.seen = make(map[string]struct{})
	}
	b.seen[value] = struct{}{}
	return value
}

// attributes are those of a measurement, in the forms in which instruments take them. They are made
// once: to build them for each measurement would cost more than to measure.
type attributes struct {
	add     []metric.AddOption
	record  []metric.RecordOption
	observe []metric.ObserveOption
}

func newAttributes(kvs ...attribute.KeyValue) *attributes {
	o := metric.WithAttributeSet(attribute.NewSet(kvs...))
	return &attributes{add: []metric.AddOption{o}, record: []metric.RecordOption{o}, observe: []metric.ObserveOption{o}}
}

// attributeCache has attributes by the labels in which they differ, whose values its users bound.
// It is safe for concurrent use.
type attributeCache[K comparable] struct {
	build func(K) []attribute.KeyValue
	built sync.Map // *attributes by K
}

func newAttributeCache[K comparable](build func(K) []attribute.KeyValue) *attributeCache[K] {
	return &attributeCache[K]{build: build}
}

func (c *attributeCache[K]) get(k K) *attributes {
	found, ok := c.built.Load(k)
	if !ok {
		found, _ = c.built.LoadOrStore(k, newAttributes(c.build(k)...))
	}
	return found.(*attributes) //nolint:errcheck,forcetypeassert // nothing else is in it
}
