package telemetry

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/onceish/onceish/bus"
)

// Publisher returns a publisher that makes a span of each call, and has events carry it. An event
// that carries the context of another trace already, such as that of whoever added it to an outbox,
// keeps it, and the span is linked to that. In a context without a span, a call with one such event
// is a part of its trace.
func (t *Traces) Publisher(to bus.Publisher) bus.Publisher { return &tracedPublisher{t, to} }

type tracedPublisher struct {
	*Traces

	to bus.Publisher
}

// Publish implements bus.Publisher.
func (p *tracedPublisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if len(events) == 0 {
		return p.to.Publish(ctx)
	}
	ctx, span, events := p.startSend(ctx, events)
	defer span.End()
	receipts, err := p.to.Publish(ctx, events...)
	if err != nil && span.IsRecording() {
		noteFailure(span, err)
	}
	return receipts, err
}

// startSend starts the span of a call, and returns the events as they are published.
func (p *tracedPublisher) startSend(ctx context.Context, events []bus.Event) (context.Context, trace.Span, []bus.Event) {
	writers := make([]trace.SpanContext, len(events))
	for i := range events {
		writers[i] = publisherOf(events[i].Headers)
	}
	parent := ctx
	if !trace.SpanContextFromContext(ctx).IsValid() && len(events) == 1 {
		parent = trace.ContextWithRemoteSpanContext(ctx, writers[0])
	}
	topic := commonTopic(events)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(operationOf(operationSend)...)}
	if links := linksToOthers(writers, trace.SpanContextFromContext(parent).TraceID()); len(links) > 0 {
		options = append(options, trace.WithLinks(links...))
	}
	ctx, span := p.tracer.Start(parent, sendName(topic), options...)
	describeSend(span, topic, events)
	own := span.SpanContext()
	events = slices.Clone(events)
	for i := range events {
		if !writers[i].IsValid() || writers[i].TraceID() == own.TraceID() {
			events[i].Headers = carrying(events[i].Headers, own)
		}
	}
	return ctx, span, events
}

// linksToOthers returns links to the sampled spans that belong to other traces, each once.
func linksToOthers(writers []trace.SpanContext, own trace.TraceID) (links []trace.Link) {
	for _, w := range writers {
		if w.IsSampled() && w.TraceID() != own && !slices.ContainsFunc(links, func(l trace.Link) bool { return l.SpanContext.Equal(w) }) {
			links = append(links, linkTo(w, linkPublisher))
		}
		if len(links) == maxLinks {
			break // a span has no more of them
		}
	}
	return links
}

// maxLinks is how many links a span has by default.
const maxLinks = 128

func describeSend(span trace.Span, topic string, events []bus.Event) {
	if !span.IsRecording() {
		return
	}
	if topic != "" {
		span.SetAttributes(keyDestination.String(traceText(topic, maxIDText)))
	}
	if len(events) > 1 {
		span.SetAttributes(keyBatchCount.Int(len(events)))
		return
	}
	span.SetAttributes(keyMessageID.String(traceText(events[0].ID, maxIDText)), keyBodySize.Int(len(events[0].Data)))
}

// commonTopic returns the topic of the events; empty if they have several.
func commonTopic(events []bus.Event) string {
	for i := range events {
		if events[i].Topic != events[0].Topic {
			return ""
		}
	}
	return events[0].Topic
}

func sendName(topic string) string {
	if topic == "" {
		return operationSend
	}
	return operationSend + " " + traceText(topic, maxIDText)
}
