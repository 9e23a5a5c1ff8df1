// Package telemetry measures subscriptions, publishing and outboxes by OpenTelemetry's API. It
// exports nothing itself: who uses it says where measurements go, by a MeterProvider.
//
//	metrics, err := telemetry.New(provider)
//	...
//	observer := metrics.Observer("order.placed", "billing")
//	sub, err := consumer.SubscribeExactlyOnce(ctx, events, "order.placed", "billing", store, handle,
//		&consumer.Options{Observer: observer})
//	...
//	defer metrics.Follow(telemetry.StateOf("order.placed", "billing", sub))()
//
// The command "worker run" does so, and package export is its MeterProvider: Prometheus and OTLP.
// Catalogue lists what there is; docs/observability.md says when to worry.
//
// # What it costs, and what it promises
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
package telemetry
