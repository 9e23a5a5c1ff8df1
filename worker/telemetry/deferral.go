package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"

	"github.com/onceish/onceish/deferral"
)

// DeferralObserver records what becomes of the events of one subscription that defers some.
type DeferralObserver struct {
	metrics  *Metrics
	topic    *attributes
	outcomes *attributeCache[deferral.Outcome]
}

var _ deferral.Observer = (*DeferralObserver)(nil)

// Deferral returns an observer for the deferral of events of a group's subscription to a topic, as
// its deferral.Options.Observer. Both are labels; keys are none.
func (m *Metrics) Deferral(topic, group string) *DeferralObserver {
	own := []attribute.KeyValue{keyTopic.String(topic), keyGroup.String(group)}
	o := &DeferralObserver{
		metrics: m, topic: newAttributes(own...),
		outcomes: newAttributeCache(func(outcome deferral.Outcome) []attribute.KeyValue {
			return append(slices.Clip(own), keyOutcome.String(string(outcome)))
		}),
	}
	for _, outcome := range deferral.Outcomes() { // how much a counter has grown by its first value cannot be told
		m.deferral.Add(context.Background(), 0, o.outcomes.get(outcome).add...)
	}
	return o
}

// ObserveDeferral implements deferral.Observer.
func (o *DeferralObserver) ObserveDeferral(d deferral.Observation) {
	ctx := context.Background()
	o.metrics.deferral.Add(ctx, int64(max(1, d.Events)), o.outcomes.get(d.Outcome).add...)
	if d.Outcome == deferral.OutcomeProcessed {
		o.metrics.summaries.Record(ctx, int64(d.Events), o.topic.record...)
	}
}
