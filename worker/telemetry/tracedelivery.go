package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// deliverySpans is the observer of a subscription: it makes spans of fetches, and of the answers to
// deliveries whose event has run. All but ObserveFetch is called by one goroutine at a time.
type deliverySpans struct {
	*subscriptionSpans

	run      trace.SpanContext // of the delivery that is answered next; not valid: it has none
	observed consumer.Observation
	at       time.Time // when it was observed
}

var (
	_ consumer.AnswerObserver = (*deliverySpans)(nil)
	_ consumer.FetchObserver  = (*deliverySpans)(nil)
)

// Observe implements consumer.Observer. A delivery without a run, such as that of a duplicate, has
// no span; an event that is given up without one belongs to its last run.
func (d *deliverySpans) Observe(o consumer.Observation) {
	d.run = trace.SpanContext{}
	if o.Attempt > 0 || o.Outcome == consumer.OutcomeDead {
		d.run, d.observed, d.at = d.runs.last(o.Key), o, time.Now()
	}
	if o.Outcome == consumer.OutcomeHandled && d.run.IsValid() {
		d.runs.forget(o.Key)
	}
}

// ObserveAnswer implements consumer.AnswerObserver.
func (d *deliverySpans) ObserveAnswer(at bus.Position, err error) {
	if !d.run.IsValid() || at != d.observed.At {
		return
	}
	_, span := d.tracer.Start(trace.ContextWithSpanContext(context.Background(), d.run), d.spanName(operationSettle),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(d.at),
		trace.WithAttributes(operationOf(operationSettle, d.place...)...),
		trace.WithAttributes(keyTraceOutcome.String(string(d.observed.Outcome)), keyTraceAttempt.Int(d.observed.Attempt)))
	if d.observed.Outcome == consumer.OutcomeDead {
		span.SetStatus(codes.Error, "dead-lettered: "+traceText(d.observed.Reason, maxIDText))
	}
	if err != nil {
		noteFailure(span, err)
	}
	span.End()
	d.run = trace.SpanContext{}
}

// ObserveFetch implements consumer.FetchObserver. A fetch that has brought nothing has no span.
func (d *deliverySpans) ObserveFetch(f consumer.Fetch) {
	if f.Events == 0 && f.Err == nil {
		return
	}
	now := time.Now()
	_, span := d.tracer.Start(context.Background(), d.spanName(operationReceive),
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(now.Add(-f.Took)),
		trace.WithAttributes(operationOf(operationReceive, d.place...)...), trace.WithAttributes(keyBatchCount.Int(f.Events)))
	if f.Err != nil {
		noteFailure(span, f.Err)
	}
	span.End(trace.WithTimestamp(now))
}
