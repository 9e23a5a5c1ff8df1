// Package consumer runs a handler once for every event of a topic: [SubscribeExactlyOnce].
//
//	sub, err := consumer.SubscribeExactlyOnce(ctx, bus, "order.placed", "billing", store, h, nil)
//
// # Delivery semantics
//
// Mode [Claimed], the default: an event is claimed in the store, run, marked after the handler has
// succeeded, and acked after it is marked. No two unexpired leases of an event exist, and what was
// marked never runs again for as long as marks are kept (Options.TTL), or below the group's
// watermark for ever. An event runs again, under the same [Attempt].IdempotencyKey, when its
// handler failed, and when its process died, or lost the store for longer than a lease, between
// effect and mark. A crash repeats at most Options.MaxUnmarked effects, which is
// Options.Concurrency by default. A process that was frozen for longer than a lease checks its
// claims when it goes on. Until the store answers, two processes may run the same event. If another
// process has taken over, it neither marks nor acks.
//
// Mode [Transactional]: the handler runs inside of the transaction that marks the event. What it
// writes through its context and the mark are there together, or neither is: each such effect is
// made once, whatever crashes. It needs a store with dedupe.Transactor (dedupe/mongo), and a server
// that passes its probe. The handler may be run several times in one attempt (Attempt.Rerun), each
// time in a new transaction after the last one was aborted: what it does outside, such as a call,
// has no part in the promise and may be repeated. It returns every error of the driver, and leaves
// commit and abort alone. A transaction that keeps conflicting is given back after about a second,
// and counts no attempt; one that the handler has ended itself, or in which it hid an error of the
// driver, fails permanently. A claim is renewed as its transaction begins, for RunLimit and the
// commit, and not while it runs. If the result of a commit is unknown, the delivery is neither
// acked nor nacked ("unresolved"). After the lease the next claim finds the mark, or the event runs
// again and a crash is counted. A handler that does not return at RunLimit counts as one too: it
// still locks its row.
//
// Mode [SeenMark]: look up, run, mark. It needs only the two methods of dedupe.Store; two
// concurrent copies may both run.
//
// A failed run counts as an attempt only if the event itself may be the cause. A handler says with
// [Throttled] that it was asked to slow down, and with [Unavailable] that the trouble may be
// everybody's: the event is put off, for as long as Options.GiveUp, and the subscription starts
// fewer handlers, or runs one event at a time as a probe until one succeeds.
//
// Nothing is dropped silently. Every event that the bus hands out ends handled, recognised as a
// duplicate, or dead-lettered with its reason (a [Letter]): after Options.MaxAttempts failures, at
// once for [Permanent], after Options.MaxCrashes crashes, when its id was used before for another
// payload, and when it cannot be read. If the stream deletes a nacked event before it is
// redelivered, the process dead-letters its own copy; without one it logs the event and counts it
// ([Stats].Dropped). Messages that are no events of the group are counted as [Stats].Skipped. A
// letter has its reason and its error, and the whole event: one that is too large for a single
// event of the bus has parts, stored before it ([Letter.Join]).
//
// Handlers see no control headers (bus.Control): what they publish with the headers of the event
// that they were given is for every group.
//
// # The life of a delivery
//
//	fetched → claimed → limit → gate → running → succeeded → marked → acked
//	            │                        ├ failed, snoozed, deferred → free until due → redelivered
//	            │                        └ given up → dead-lettering → letter stored → dead → acked
//	            ├ done or dead: acked
//	            ├ held, or not due yet: redelivered a little later
//	            └ not begun (pause, drain, limit): given back
//
// # Flow
//
// Events with one key (Options.OrderKey; the bus.Event.Key) run one after the other by sequence, in
// a process; those without have no order. An event that failed or was nacked blocks later events of
// its key until it is done or dead, claimed by another process, or gone from the stream. There is
// no time-out. [Subscription.Pause] starts nothing once it has returned. [Subscription.Drain], or
// the end of the context, ends a subscription in order: running handlers finish, marks are stored,
// acks sent. An event whose claim ended in a crash runs alone, so that one which kills its process
// takes no others with it.
//
// [Batch] makes a handler of a function for several events at once: concurrent runs that meet. Each
// event keeps its own claim, attempts and mark.
//
// # Order over all processes
//
// With [Options].Order [Exclusive] or [Partitions], events of one key run one after the other by
// sequence in the whole group. A partition, which with Exclusive is the topic, belongs to one
// process at a time (Options.Session). It moves by a drain: the next owner begins at the lowest
// unsettled event once the former has finished what ran, and marked it. Where an owner dies, or is
// cut off, another takes its partitions over when its place in the group has expired. A process
// that cannot renew its place starts nothing more before that, by its own clock, and its handlers
// are cancelled with [ErrPartitionLost]. One that was frozen in the middle of a run may make that
// run's effect beside the next owner's first one of the key once its claim's lease is over: pass on
// [Attempt].Token or [Partition].Epoch as a fencing token where that matters.
//
// [Unordered] and [ByTopic] hold in a process, as [ByKey], the default, does.
//
// # Observers
//
// Options.Observer is told how each delivery ended, and more where it has their method:
// [AnswerObserver], [StoreObserver], [FetchObserver], [WatermarkObserver], [PauseObserver],
// [LimitObserver], [CapacityObserver], [BatchObserver]. What nobody is told costs nothing.
// [Observers] joins several.
package consumer
