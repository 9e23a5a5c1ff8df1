package telemetry

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// collect observes all gauges. What it takes is in memory.
func (m *Metrics) collect(_ context.Context, to metric.Observer) error {
	to.ObserveInt64(m.build, 1, m.buildLabels.observe...)
	m.mu.Lock()
	observers, sources := slices.Collect(maps.Keys(m.observers)), slices.Collect(maps.Keys(m.sources))
	m.mu.Unlock()
	now := time.Now()
	for _, o := range observers { // before sources, whose pauses overrule theirs
		o.collect(to, now)
	}
	for _, s := range sources {
		m.collectState(to, s.read())
	}
	return nil
}

// collect observes what an observer knows.
func (o *Observer) collect(to metric.Observer, now time.Time) {
	m := o.metrics
	to.ObserveInt64(m.paused, oneIf(o.paused.Load()), o.topic.observe...)
	if stored := o.watermarkStored.Load(); stored != nil {
		to.ObserveFloat64(m.watermarkAge, max(0, now.Sub(*stored).Seconds()), o.topic.observe...)
	}
	if in, ok := o.breakers.worst(); ok {
		for state, labels := range o.breakers.labels {
			to.ObserveInt64(m.breaker, oneIf(state == in), labels.observe...)
		}
	}
}

// collectState observes what a source has read.
func (m *Metrics) collectState(to metric.Observer, s State) {
	for i := range s.Subscriptions {
		m.collectSubscription(to, &s.Subscriptions[i])
	}
	for _, b := range s.Outboxes {
		labels := m.outboxLabels.get(b.Name)
		observeCount(to, m.outboxDepth, b.Depth, labels)
		observeCount(to, m.outboxDead, b.Dead, labels)
		observeCount(to, m.outboxScheduled, b.Scheduled, labels)
		observeAge(to, m.outboxOldest, b.Oldest, labels)
	}
	for _, g := range s.Groups {
		observeCount(to, m.members, g.Members, m.groupLabels.get(g.Group))
	}
}

func (m *Metrics) collectSubscription(to metric.Observer, s *SubscriptionState) {
	labels := m.topicLabels.get(topicLabel{s.Topic, s.Group})
	observeCount(to, m.inFlight, int64(s.InFlight), labels)
	observeCount(to, m.marksWaiting, int64(s.Unmarked), labels)
	observeCount(to, m.lagEvents, s.Lag, labels)
	observeAge(to, m.lag, s.Behind, labels)
	if s.Paused {
		to.ObserveInt64(m.paused, 1, labels.observe...)
	}
	if s.Partitions != nil {
		m.collectPartitions(to, s)
	}
	if s.TTLMargin != nil {
		to.ObserveFloat64(m.ttlMargin, s.TTLMargin.Seconds(), labels.observe...)
	}
}

func (m *Metrics) collectPartitions(to metric.Observer, s *SubscriptionState) {
	topic := topicLabel{s.Topic, s.Group}
	labels, p := m.topicLabels.get(topic), s.Partitions
	to.ObserveInt64(m.partitions, int64(p.Of), labels.observe...)
	to.ObserveInt64(m.owned, int64(p.Owned), labels.observe...)
	for move, n := range map[string]uint64{"assigned": p.Assigned, "revoked": p.Revoked, "lost": p.Lost} {
		to.ObserveInt64(m.moves, int64(n), m.moveLabels.get(moveLabel{topic, move}).observe...)
	}
}

// observeCount leaves out what is not known.
func observeCount(to metric.Observer, g metric.Int64Observable, n int64, labels *attributes) {
	if n >= 0 {
		to.ObserveInt64(g, n, labels.observe...)
	}
}

// observeAge does as well.
func observeAge(to metric.Observer, g metric.Float64Observable, age time.Duration, labels *attributes) {
	if age >= 0 {
		to.ObserveFloat64(g, age.Seconds(), labels.observe...)
	}
}

func oneIf(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
