package telemetry

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// durationBuckets are those of OpenTelemetry's conventions, in seconds.
var durationBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// The buckets of other histograms. They are few, for each of them is a series of each subscription
// and label.
var (
	storeBuckets   = []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10}
	waitBuckets    = []float64{0.001, 0.01, 0.1, 1, 10, 60}
	itemBuckets    = []float64{1, 10, 100}
	attemptBuckets = []float64{1, 2, 5, 10}
	batchBuckets   = []float64{1, 10, 50, 100, 500}
)

// instruments are what measurements are recorded with.
type instruments struct {
	processDuration, operationDuration, storeCalls, limiterWait metric.Float64Histogram

	storeItems, attempts, batchSize, summaries                        metric.Int64Histogram
	consumed, sent, deliveries, fenced, deadLetters                   metric.Int64Counter
	deferral                                                          metric.Int64Counter
	inFlight, lagEvents, marksWaiting, paused                         metric.Int64ObservableGauge
	breaker, members, outboxDepth, outboxDead, outboxScheduled, build metric.Int64ObservableGauge
	partitions, owned                                                 metric.Int64ObservableGauge
	moves                                                             metric.Int64ObservableCounter
	lag, ttlMargin, outboxOldest, watermarkAge                        metric.Float64ObservableGauge
}

// newInstruments makes them all, or says which could not be made.
func newInstruments(m metric.Meter) (*instruments, error) {
	b := instrumentMaker{meter: m}
	i := &instruments{
		processDuration:   b.makeDurations(nameProcessDuration, durationBuckets),
		operationDuration: b.makeDurations(nameOperationDuration, durationBuckets),
		storeCalls:        b.makeDurations(nameStoreCalls, storeBuckets),
		limiterWait:       b.makeDurations(nameLimiterWait, waitBuckets),
		storeItems:        b.makeCounts(nameStoreItems, itemBuckets),
		attempts:          b.makeCounts(nameAttempts, attemptBuckets),
		batchSize:         b.makeCounts(nameBatchSize, batchBuckets),
		consumed:          b.makeCounter(nameConsumed),
		sent:              b.makeCounter(nameSent),
		deliveries:        b.makeCounter(nameDeliveries),
		fenced:            b.makeCounter(nameFenced),
		deadLetters:       b.makeCounter(nameDeadLetters),
		deferral:          b.makeCounter(nameDeferral),
		summaries:         b.makeCounts(nameSummaries, itemBuckets),
		inFlight:          b.makeGauge(nameInFlight),
		lagEvents:         b.makeGauge(nameLagEvents),
		marksWaiting:      b.makeGauge(nameMarksWaiting),
		paused:            b.makeGauge(namePaused),
		breaker:           b.makeGauge(nameBreaker),
		members:           b.makeGauge(nameMembers),
		partitions:        b.makeGauge(namePartitions),
		owned:             b.makeGauge(nameOwned),
		moves:             b.makeObservedCounter(nameMoves),
		outboxDepth:       b.makeGauge(nameOutboxDepth),
		outboxDead:        b.makeGauge(nameOutboxDead),
		outboxScheduled:   b.makeGauge(nameOutboxDue),
		build:             b.makeGauge(nameBuildInfo),
		lag:               b.makeSeconds(nameLag),
		ttlMargin:         b.makeSeconds(nameTTLMargin),
		outboxOldest:      b.makeSeconds(nameOutboxOldest),
		watermarkAge:      b.makeSeconds(nameWatermarkAge),
	}
	return i, errors.Join(b.errs...)
}

// gauges are the instruments that a callback observes.
func (i *instruments) gauges() []metric.Observable {
	return []metric.Observable{
		i.inFlight, i.lagEvents, i.marksWaiting, i.paused, i.breaker, i.members, i.outboxDepth, i.outboxDead, i.outboxScheduled, i.build,
		i.partitions, i.owned, i.moves, i.lag, i.ttlMargin, i.outboxOldest, i.watermarkAge,
	}
}

// instrumentMaker makes instruments as the catalogue describes them, and keeps the errors.
type instrumentMaker struct {
	meter metric.Meter
	errs  []error
}

func (b *instrumentMaker) makeDurations(name string, buckets []float64) metric.Float64Histogram {
	d := describe(name)
	h, err := b.meter.Float64Histogram(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit), metric.WithExplicitBucketBoundaries(buckets...))
	b.keepError(err)
	return h
}

func (b *instrumentMaker) makeCounts(name string, buckets []float64) metric.Int64Histogram {
	d := describe(name)
	h, err := b.meter.Int64Histogram(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit), metric.WithExplicitBucketBoundaries(buckets...))
	b.keepError(err)
	return h
}

func (b *instrumentMaker) makeCounter(name string) metric.Int64Counter {
	d := describe(name)
	c, err := b.meter.Int64Counter(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit))
	b.keepError(err)
	return c
}

func (b *instrumentMaker) makeGauge(name string) metric.Int64ObservableGauge {
	d := describe(name)
	g, err := b.meter.Int64ObservableGauge(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit))
	b.keepError(err)
	return g
}

func (b *instrumentMaker) makeObservedCounter(name string) metric.Int64ObservableCounter {
	d := describe(name)
	c, err := b.meter.Int64ObservableCounter(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit))
	b.keepError(err)
	return c
}

func (b *instrumentMaker) makeSeconds(name string) metric.Float64ObservableGauge {
	d := describe(name)
	g, err := b.meter.Float64ObservableGauge(name, metric.WithDescription(d.Meaning), metric.WithUnit(d.Unit))
	b.keepError(err)
	return g
}

func (b *instrumentMaker) keepError(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

// describe returns the metric of a name of the catalogue.
func describe(name string) *Metric {
	for i := range catalogue {
		if catalogue[i].Name == name {
			return &catalogue[i]
		}
	}
	return &Metric{Name: name}
}
