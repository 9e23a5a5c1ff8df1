package telemetry_test

import (
	"context"
	"fmt"
	"log"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/telemetry"
)

// A worker makes spans: the run of the handler is a part of the trace in which the event was
// published, and so is what the handler does with its context.
func ExampleNewTraces() {
	spans := tracetest.NewSpanRecorder() // instead of an exporter
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	tracer := provider.Tracer("shop")
	events, err := membus.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	w, err := worker.New("billing", worker.Over(events, store), &worker.Options{UntilEmpty: true})
	if err != nil {
		log.Fatal(err)
	}
	w.Instrument(telemetry.NewTraces(provider))
	w.Handle("order.placed", func(ctx context.Context, _ bus.Event) error {
		_, span := tracer.Start(ctx, "charge the card")
		defer span.End()
		return nil
	}, &consumer.Options{})

	ctx, checkout := tracer.Start(context.Background(), "checkout")
	if _, err := w.Publisher().Publish(ctx, bus.Event{ID: "17", Topic: "order.placed"}); err != nil {
		log.Fatal(err)
	}
	checkout.End()
	if err := w.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	printTrace(spans.Ended(), checkout.SpanContext().TraceID(), trace.SpanID{}, "")
	// Output:
	// checkout
	//   send order.placed
	//     process order.placed
	//       charge the card
	//       settle order.placed
}

// printTrace prints the spans of a trace beneath one of them.
func printTrace(spans []sdktrace.ReadOnlySpan, of trace.TraceID, parent trace.SpanID, indent string) {
	for _, s := range spans {
		if s.SpanContext().TraceID() == of && s.Parent().SpanID() == parent {
			fmt.Println(indent + s.Name())
			printTrace(spans, of, s.SpanContext().SpanID(), indent+"  ")
		}
	}
}
