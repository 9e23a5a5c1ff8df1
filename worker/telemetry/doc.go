// Package telemetry measures subscriptions, publishing and outboxes, and makes spans of what they
// do, by OpenTelemetry's API. It exports nothing itself: who uses it says where measurements and
// spans go, by a MeterProvider and a TracerProvider. The command "worker run" does so with those of
// package export.
//
// # Metrics
//
//	metrics, err := telemetry.New(provider)
//	...
//	observer := metrics.Observer("order.placed", "billing")
//	sub, err := consumer.SubscribeExactlyOnce(ctx, events, "order.placed", "billing", store, handle,
//		&consumer.Options{Observer: observer})
//	...
//	defer metrics.Follow(telemetry.StateOf("order.placed", "billing", sub))()
//
// Catalogue lists what there is; docs/observability.md says when to worry.
//
// Labels are few, whatever is published: the topics and groups that a program names, outcomes, and
// classes of errors and reasons, of which there are at most 50 and "other". Ids, keys and the texts
// of errors are no labels. The topics that events are sent to are not known beforehand: the first
// 50 have names, the others are "other".
//
// Gauges are read from memory when they are collected. Nothing is asked of a server for it, so
// they can be read while every server is down. What is not known, such as the lag while the bus
// does not answer, is left out rather than shown as it was.
//
// Observing never blocks a subscription, and never fails.
//
// # Traces
//
//	traces := telemetry.NewTraces(provider)
//	options := &consumer.Options{}
//	traces.Subscription("order.placed", "billing", options)
//	sub, err := consumer.SubscribeExactlyOnce(ctx, events, "order.placed", "billing", store,
//		handle, options)
//	...
//	publisher := traces.Publisher(events)
//	box, err := outbox.New(ctx, collection, &mongooutbox.Options{Headers: traces.Headers})
//
// In a worker, worker.Worker.Instrument does all of it.
//
// The context travels in the headers traceparent and tracestate of events, as W3C says. What a
// publisher puts there is not trusted: a context that is malformed counts as none, and is no error
// of the event.
//
// Each run of a handler is a span. The first run of an event is a child of the span that published
// it. Later ones, which may be hours later, and runs of copies that were published on purpose, are
// traces of their own, linked to that span and to the run before, where this process has made it.
// A handler finds the span of its run in its context, and in the headers of the event. Only an
// event that was given up leaves a span with an error status.
//
// Spans have ids of events, names of topics and groups, sizes, and the beginnings of the texts of
// errors. They have no data, no keys and no other headers.
package telemetry
