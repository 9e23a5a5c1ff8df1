// Package provision makes what a worker needs before it runs, as its configuration says: streams,
// key-value buckets, and collections of MongoDB with their indexes.
//
//	plan, err := provision.New(ctx, connections, configuration)
//	for _, item := range plan.Items { … }
//	err = plan.Apply(ctx, nil)
//
// [New] looks at what is there and changes nothing. [Plan.Apply] looks at each item again, so that
// it never acts on what has changed meanwhile, and leaves nothing half done: an item is made or
// changed by one request, and indexes are made one by one. Whoever was killed in between applies a
// new plan, which does the rest. Several processes may apply plans of one configuration at once:
// they end in the same state.
//
// # What is refused
//
// Nothing is done that deletes messages: a limit below what is stored, a subject that has messages,
// another storage or retention. Such an item is left as it is, with the reason and the command by
// which an operator does it all the same; the other items are done. A limit deletes what is stored
// later than it was looked at, as any limit does.
//
// # What is left to the worker
//
// A consumer is made by the worker, which stores where its group starts before it makes the
// consumer: one that was made without that, and lost, would begin somewhere else. So are the rows
// that say where events that wait in an outbox are published from.
package provision
