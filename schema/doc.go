// Package schema keeps producers honest: versions of a JSON Schema for each topic and type of
// event, checked when an event is published and before its handler runs.
//
//	v, err := schema.Add(ctx, store, schema.Subject{Topic: "order.placed"}, text, nil)
//
//	registry, err := schema.NewRegistry(store, nil)
//	publisher, err := schema.NewPublisher(events, registry, nil)
//	check, err := schema.Middleware(registry, &schema.MiddlewareOptions{
//		Upcasters: []schema.Upcaster{schema.Upcast(1, 2, addCurrency)},
//	})
//
// Versions are in a [Store]: schema/nats, schema/folder or schema/memory. Once added, a version
// never changes.
//
// # Delivery semantics
//
// A [Publisher] publishes all events of a call or, where one violates its schema, none of them. It
// sets the CloudEvents attribute dataschema to the version that was checked. A [Middleware] checks
// each event against the version that its dataschema names, and dead-letters what violates it, with
// the path in the data and what is wrong there; values of the data are in no message. It neither
// changes what an event is known by, nor its attempts.
//
// Events that are published past a Publisher have no dataschema. They are of the newest version
// that they are valid under.
//
// While the store does not answer, what was read from it last counts. Where nothing was read yet,
// [Away] decides. Retry, the default, neither loses nor lets through anything.
//
// # Compatibility
//
// [Add] refuses a version that is not compatible with those before it, as its [Mode] says. It
// compares what one version writes with what the other reads: a producer sets only those properties
// that its schema names, and a consumer ignores others unless its schema forbids them. So optional
// properties come and go freely; required ones, types and bounds do not. What it cannot decide it
// refuses too, and says so; [AddOptions].Force adds it all the same, with a reason that is kept.
//
// # Schemas that are hostile
//
// A schema refers to itself alone: nothing is fetched, from files or over the network. It is
// bounded in size, in depth and in what checking an event can cost, see [Parse].
package schema
