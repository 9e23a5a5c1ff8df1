package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker/telemetry"
)

// traceRig is a bus and a store in memory, and the spans that are made over them.
type traceRig struct {
	t      *testing.T
	bus    *membus.Bus
	store  *memdedupe.Store
	spans  *tracetest.SpanRecorder
	tracer trace.Tracer // of a service that publishes
	traces *telemetry.Traces
}

func newTraceRig(t *testing.T) *traceRig {
	t.Helper()
	r := &traceRig{t: t, spans: tracetest.NewSpanRecorder()}
	var err error
	r.bus, err = membus.New(nil)
	must(t, err)
	r.store, err = memdedupe.New(nil)
	must(t, err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.spans))
	r.tracer, r.traces = provider.Tracer("shop"), telemetry.NewTraces(provider)
	return r
}

// inBubble runs a test in a bubble with its own time.
func inBubble(t *testing.T, f func(r *traceRig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newTraceRig(t)) })
}

func order(id string) bus.Event {
	return bus.Event{ID: id, Topic: "order.placed", Data: []byte(`{"cents":5}`)}
}

// shop publishes an event within a span of its own, and returns that.
func (r *traceRig) shop(e bus.Event) trace.SpanContext {
	r.t.Helper()
	ctx, span := r.tracer.Start(r.t.Context(), "checkout")
	defer span.End()
	_, err := r.traces.Publisher(r.bus).Publish(ctx, e)
	must(r.t, err)
	return span.SpanContext()
}

// subscribe drains at the end of the test.
func (r *traceRig) subscribe(topic, group string, h consumer.Handler, o consumer.Options) *consumer.Subscription {
	r.t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	withDefaults, err := o.WithDefaults(group)
	must(r.t, err)
	r.traces.Subscription(topic, group, withDefaults)
	s, err := consumer.SubscribeExactlyOnce(r.t.Context(), r.bus, topic, group, r.store, h, withDefaults)
	must(r.t, err)
	r.t.Cleanup(func() { _ = s.Drain(context.Background()) })
	return s
}

// settle lets an hour pass, in which everything is done.
func (r *traceRig) settle() {
	time.Sleep(time.Hour)
	synctest.Wait()
}

// named returns the spans of a name, in the order in which they ended.
func (r *traceRig) named(name string) (spans []sdktrace.ReadOnlySpan) {
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// one returns the only span of a name.
func (r *traceRig) one(name string) sdktrace.ReadOnlySpan {
	r.t.Helper()
	spans := r.named(name)
	if len(spans) != 1 {
		r.t.Fatalf("%d spans %q of %v, want 1", len(spans), name, r.names())
	}
	return spans[0]
}

func (r *traceRig) names() (names []string) {
	for _, s := range r.spans.Ended() {
		names = append(names, s.Name())
	}
	return names
}

// isChild checks that a span was started in another one.
func (r *traceRig) isChild(child sdktrace.ReadOnlySpan, parent trace.SpanContext) {
	r.t.Helper()
	if child.Parent().SpanID() != parent.SpanID() || child.SpanContext().TraceID() != parent.TraceID() {
		r.t.Errorf("%q is a child of %v in %v, want one of %v in %v", child.Name(), child.Parent().SpanID(), child.SpanContext().TraceID(), parent.SpanID(), parent.TraceID())
	}
}

// linksOf are what the links of a span lead to, by what they are called.
func linksOf(s sdktrace.ReadOnlySpan) map[string]trace.SpanID {
	out := make(map[string]trace.SpanID)
	for _, l := range s.Links() {
		for _, a := range l.Attributes {
			out[a.Value.AsString()] = l.SpanContext.SpanID()
		}
	}
	return out
}

// attributesOf are the attributes of a span, as text.
func attributesOf(as []attribute.KeyValue) map[string]string {
	out := make(map[string]string)
	for _, a := range as {
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

func wantAttributes(t *testing.T, s sdktrace.ReadOnlySpan, want map[string]string) {
	t.Helper()
	got := attributesOf(s.Attributes())
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%q: %s is %q, want %q", s.Name(), k, got[k], v)
		}
	}
}

func wantStatus(t *testing.T, s sdktrace.ReadOnlySpan, want codes.Code) {
	t.Helper()
	if s.Status().Code != want {
		t.Errorf("%q has status %v (%s), want %v", s.Name(), s.Status().Code, s.Status().Description, want)
	}
}

var errShop = errors.New("the bank is closed")

// failing fails so many times, then succeeds.
func failing(times int) consumer.Handler {
	n := 0
	return func(context.Context, bus.Event) error {
		if n++; n <= times {
			return fmt.Errorf("attempt %d: %w", n, errShop)
		}
		return nil
	}
}
