package benchmark

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

const batchSize = 100

// BenchmarkMongoBatch: batches of 100 through MongoDB's marks, against a handler of single events
// with the same options. It also reports how many calls of handlers there are for each event.
func BenchmarkMongoBatch(b *testing.B) {
	for _, o := range []consumer.Options{
		{Concurrency: batchSize},
		{Concurrency: batchSize, MaxUnmarked: 4 * batchSize},
		{Concurrency: 2 * batchSize, MaxUnmarked: 4 * batchSize},
	} {
		b.Run(fmt.Sprintf("concurrency=%d/unmarked=%d", o.Concurrency, max(o.Concurrency, o.MaxUnmarked)), func(b *testing.B) { againstSingles(b, o) })
	}
}

func againstSingles(b *testing.B, o consumer.Options) {
	b.Helper()
	r := newRig(b)
	store, err := mongodedupe.New(b.Context(), mongotest.Collection(b), nil)
	must(b, err)
	r.fill(perMongoRound)
	var sum rates
	var calls atomic.Int64
	h := consumer.Batch(func(context.Context, []bus.Event) []error {
		calls.Add(1)
		return nil
	}, &consumer.BatchOptions{Size: batchSize})
	for b.Loop() {
		sum.baseline += r.handleWith(topic, perMongoRound, store, o)
		sum.ours += r.handleBy(h, topic, perMongoRound, store, o)
		sum.events += perMongoRound
	}
	sum.report(b, "single")
	b.ReportMetric(float64(calls.Load())/float64(sum.events), "calls/event")
}
