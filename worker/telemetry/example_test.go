package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker/telemetry"
)

// setUp returns a bus and a store in memory; a service has natsbus.New and mongodedupe.New here.
func setUp() (*membus.Bus, *memdedupe.Store) {
	b, err := membus.New(nil)
	if err != nil {
		panic(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		panic(err)
	}
	return b, store
}

// A service that has a MeterProvider measures its subscriptions with it.
func Example() {
	ctx := context.Background()
	reader := sdkmetric.NewManualReader() // yours sends to Prometheus, or by OTLP
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))

	metrics, err := telemetry.New(provider, nil)
	if err != nil {
		panic(err)
	}
	defer metrics.Close()

	events, store := setUp()
	handled := make(chan string, 2)
	handle := func(_ context.Context, e bus.Event) error {
		handled <- e.ID
		return nil
	}
	sub, err := consumer.SubscribeExactlyOnce(ctx, events, "order.placed", "billing", store, handle,
		&consumer.Options{Logger: slog.New(slog.DiscardHandler), Observer: metrics.Observer("order.placed", "billing")})
	if err != nil {
		panic(err)
	}
	defer metrics.Follow(telemetry.StateOf("order.placed", "billing", sub))()

	for _, id := range []string{"1", "2"} {
		if _, err := events.Publish(ctx, bus.Event{ID: id, Topic: "order.placed"}); err != nil {
			panic(err)
		}
		<-handled
	}
	if err := sub.Drain(ctx); err != nil {
		panic(err)
	}

	var collected metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &collected); err != nil {
		panic(err)
	}
	for _, m := range collected.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "onceish.deliveries" {
			outcome, _ := sum.DataPoints[0].Attributes.Value("outcome")
			fmt.Println(outcome.AsString(), sum.DataPoints[0].Value)
		}
	}
	// Output: handled 2
}
