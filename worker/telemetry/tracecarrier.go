package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/tracecontext"
)

// Carrier has a propagator read and write the headers of an event, for services that make spans of
// their own. Names are written as the propagator gives them, which is in lower case, and read in
// any case: NATS keeps the case of a name, so what is written as Traceparent is not found as
// traceparent elsewhere. A trace context that is malformed, or has several values, reads as empty.
type Carrier bus.Headers

var _ propagation.TextMapCarrier = Carrier(nil)

// Get implements propagation.TextMapCarrier.
func (c Carrier) Get(name string) string {
	switch strings.ToLower(name) {
	case tracecontext.HeaderParent:
		parent, _ := tracecontext.From(bus.Headers(c))
		return parent
	case tracecontext.HeaderState:
		_, state := tracecontext.From(bus.Headers(c))
		return state
	}
	return bus.Headers(c).Get(name)
}

// Set implements propagation.TextMapCarrier. It replaces the header in whatever case.
func (c Carrier) Set(name, value string) {
	for other := range c {
		if strings.EqualFold(other, name) {
			delete(c, other)
		}
	}
	bus.Headers(c).Set(name, value)
}

// Keys implements propagation.TextMapCarrier.
func (c Carrier) Keys() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	return names
}

// w3c reads and writes trace contexts.
var w3c propagation.TraceContext

// traceFields are the two headers of a trace context.
type traceFields struct{ parent, state string }

// Get implements propagation.TextMapCarrier.
func (f *traceFields) Get(name string) string {
	if name == tracecontext.HeaderParent {
		return f.parent
	}
	return f.state
}

// Set implements propagation.TextMapCarrier.
func (f *traceFields) Set(name, value string) {
	if name == tracecontext.HeaderParent {
		f.parent = value
	} else {
		f.state = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (f *traceFields) Keys() []string {
	return []string{tracecontext.HeaderParent, tracecontext.HeaderState}
}

// publisherOf returns the span whose context an event carries; it is not valid if it carries none.
func publisherOf(h bus.Headers) trace.SpanContext {
	parent, state := tracecontext.From(h)
	if parent == "" {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), &traceFields{parent, state}))
}

// fieldsOf returns the headers of a span's context; empty if it is not valid.
func fieldsOf(c trace.SpanContext) traceFields {
	var f traceFields
	w3c.Inject(trace.ContextWithSpanContext(context.Background(), c), &f)
	return f
}

// headersOf returns the headers of a span's context; nil if it is not valid.
func headersOf(c trace.SpanContext) bus.Headers {
	f := fieldsOf(c)
	if f.parent == "" {
		return nil
	}
	return tracecontext.With(nil, f.parent, f.state)
}

// carrying returns the headers of an event with the context of a span in place of any other. It
// does not change h.
func carrying(h bus.Headers, c trace.SpanContext) bus.Headers {
	f := fieldsOf(c)
	if f.parent == "" {
		return h
	}
	return tracecontext.With(h, f.parent, f.state)
}
