package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Traces makes spans of what subscriptions and publishers do. It is a worker.Instrumentation. Its
// methods are safe for concurrent use.
type Traces struct {
	tracer trace.Tracer
	runs   recentRuns
}

// NewTraces returns what makes spans by the provider, which stays the caller's to flush and to shut
// down.
func NewTraces(p trace.TracerProvider) *Traces {
	return &Traces{tracer: p.Tracer(Scope)}
}

// Subscription adds what makes spans to the options of the group's subscription to the topic, which
// may be a pattern: a middleware, outside of those that are there, and an observer.
func (t *Traces) Subscription(topic, group string, o *consumer.Options) {
	s := newSubscriptionSpans(t, topic, group, o)
	o.Use = append([]consumer.Middleware{s.traceRuns}, o.Use...)
	o.Observer = consumer.Observers(o.Observer, &deliverySpans{subscriptionSpans: s})
}

// Headers returns the trace context of ctx as the headers of an event; nil if it has none. It is
// the bus.ContextHeaders of outboxes and documents.
func (t *Traces) Headers(ctx context.Context) bus.Headers {
	return headersOf(trace.SpanContextFromContext(ctx))
}

// isPattern reports whether a topic has wildcards.
func isPattern(topic string) bool { return strings.ContainsAny(topic, "*>") }

// operationOf returns the attributes that say what a span of messaging is.
func operationOf(operation string, more ...attribute.KeyValue) []attribute.KeyValue {
	return append([]attribute.KeyValue{keySystem.String(system), keyOperation.String(operation), keyOperationType.String(operation)}, more...)
}

// noteFailure adds an error to a span as an event, without a status: what failed may be retried.
func noteFailure(span trace.Span, err error) {
	kind := errorTypeOf(err)
	span.SetAttributes(keyErrorType.String(kind))
	span.AddEvent("exception", trace.WithAttributes(
		keyExceptionType.String(kind), keyExceptionMessage.String(traceText(err.Error(), maxErrorText)),
	))
}
