package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// subscriptionSpans makes the spans of one subscription.
type subscriptionSpans struct {
	*Traces

	topic       string
	maxAttempts int
	place       []attribute.KeyValue // of all spans: topic and group
	process     []trace.SpanStartOption
}

func newSubscriptionSpans(t *Traces, topic, group string, o *consumer.Options) *subscriptionSpans {
	destination := keyDestination
	if isPattern(topic) {
		destination = keyTemplate
	}
	s := &subscriptionSpans{Traces: t, topic: topic, maxAttempts: o.MaxAttempts}
	s.place = []attribute.KeyValue{destination.String(traceText(topic, maxIDText)), keyConsumerGroup.String(traceText(group, maxIDText))}
	s.process = []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(operationOf(operationProcess, s.place...)...),
	}
	return s
}

func (s *subscriptionSpans) spanName(operation string) string { return operation + " " + s.topic }

// traceRuns is a consumer.Middleware: each run is a span. The handler finds it in its context, and
// the event carries it, for whoever is handed the event alone: a command, a service, another topic.
func (s *subscriptionSpans) traceRuns(next consumer.Handler) consumer.Handler {
	return func(ctx context.Context, e bus.Event) error {
		attempt := consumer.AttemptFrom(ctx)
		ctx, span := s.startRun(ctx, &e, &attempt)
		returned := false
		defer func() {
			if !returned {
				s.notePanic(span, &attempt)
			}
			span.End()
			s.runs.remember(attempt.Key, span.SpanContext())
		}()
		err := next(ctx, e)
		returned = true
		if err != nil {
			s.noteFailedRun(ctx, span, &attempt, err)
		}
		return err
	}
}

func (s *subscriptionSpans) startRun(ctx context.Context, e *bus.Event, a *consumer.Attempt) (context.Context, trace.Span) {
	parent, links := s.placeRun(ctx, e, a)
	options := s.process
	if links != nil {
		options = append(slices.Clip(options), links)
	}
	ctx, span := s.tracer.Start(parent, s.spanName(operationProcess), options...)
	if span.IsRecording() {
		span.SetAttributes(keyMessageID.String(traceText(e.ID, maxIDText)), keyBodySize.Int(len(e.Data)), keyTraceAttempt.Int(a.Number))
		if isPattern(s.topic) {
			span.SetAttributes(keyDestination.String(traceText(e.Topic, maxIDText)))
		}
	}
	e.Headers = carrying(e.Headers, span.SpanContext())
	return ctx, span
}

// placeRun says where the span of a run belongs. The first run of an event is a child of the span
// that published it. Others come when that trace may be over and done with: they are new traces,
// with links to it and to the last run. What ctx has from the start of the subscription is none of
// the event's.
func (s *subscriptionSpans) placeRun(ctx context.Context, e *bus.Event, a *consumer.Attempt) (context.Context, trace.SpanStartOption) {
	publisher, last := publisherOf(e.Headers), s.runs.last(a.Key)
	if a.Number <= 1 && a.Rerun == 0 && !a.Copied && !last.IsValid() {
		return trace.ContextWithRemoteSpanContext(ctx, publisher), nil
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.SpanContext{})
	links := make([]trace.Link, 0, 2)
	if publisher.IsValid() {
		links = append(links, linkTo(publisher, linkPublisher))
	}
	if last.IsValid() {
		links = append(links, linkTo(last, linkAttempt))
	}
	return ctx, trace.WithLinks(links...)
}

// noteFailedRun adds the error of a run to its span. The status is an error only if that was the
// last run: of the others deliverySpans knows more.
func (s *subscriptionSpans) noteFailedRun(ctx context.Context, span trace.Span, a *consumer.Attempt, err error) {
	if !span.IsRecording() {
		return
	}
	noteFailure(span, err)
	counts := ctx.Err() == nil && !consumer.IsThrottled(err) && !consumer.IsUnavailable(err) && !consumer.IsSnooze(err)
	if consumer.IsPermanent(err) || counts && s.isLast(a) {
		span.SetStatus(codes.Error, traceText(err.Error(), maxErrorText))
	}
}

// notePanic is noteFailedRun of a handler that did not return. What it panicked with is in the log
// and on the dead letter.
func (s *subscriptionSpans) notePanic(span trace.Span, a *consumer.Attempt) {
	span.SetAttributes(keyErrorType.String("panic"))
	span.AddEvent("exception", trace.WithAttributes(keyExceptionType.String("panic")))
	if s.isLast(a) {
		span.SetStatus(codes.Error, "panic")
	}
}

func (s *subscriptionSpans) isLast(a *consumer.Attempt) bool {
	return s.maxAttempts > 0 && a.Number >= s.maxAttempts
}
