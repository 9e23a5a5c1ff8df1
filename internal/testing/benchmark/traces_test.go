package benchmark

import (
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/worker/telemetry"
)

// BenchmarkTraces: JetStream and the key-value store with spans, of which 1 % are sampled and
// exported to nowhere, against the same without spans. Rounds alternate.
func BenchmarkTraces(b *testing.B) {
	r := newRig(b)
	store, err := kvdedupe.New(b.Context(), r.nc, nil)
	must(b, err)
	defer func() { must(b, store.Close()) }()
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))), sdktrace.WithBatcher(tracetest.NewNoopExporter()),
	)
	defer func() { must(b, provider.Shutdown(b.Context())) }()
	traces := telemetry.NewTraces(provider)
	r.fill(perRound)
	var sum rates
	for b.Loop() {
		sum.baseline += r.handleWith(topic, perRound, store, consumer.Options{Concurrency: 512})
		o := consumer.Options{Concurrency: 512}
		traces.Subscription(topic, group, &o)
		sum.ours += r.handleWith(topic, perRound, store, o)
		sum.events += perRound
	}
	sum.report(b, "off")
}
