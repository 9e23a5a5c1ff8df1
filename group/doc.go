// Package group keeps what the processes of a consumer group know of each other: who is a member,
// what is paused, who owns which partition, and who holds which lease. Backends are group/nats and
// group/memory.
//
//	session, err := group.Join(ctx, store, "billing", &group.Options{Apply: pauseSubscriptions})
//	go session.Run(ctx)
//
//	request := group.Request{Topic: "order.placed", For: 10 * time.Minute}
//	result, err := group.Pause(ctx, store, "billing", request)
//
// # Delivery semantics
//
// After [Pause] has returned without an error, no live member starts a run that is paused until it
// is resumed or the pause ends. A member confirms by storing, in its row, up to which revision it
// has applied pauses; it does so after Options.Apply has returned. Members that are missing are
// named, and so are those that went while they were waited for. A process that joins later starts
// paused. Pauses neither lose nor repeat events.
//
// A pause of the whole group and one of a topic are independent: a topic is paused while either
// holds. A pause with an end ends by itself in each process, at the store's time, whether or not
// the process reaches the store. Nothing but Pause and Resume writes a pause: processes that come
// and go, drain or change their configuration do not.
//
// A process that is cut off from the store keeps its last known pauses, and reports it in
// [Session.Status]. Its row expires, so a pause may be confirmed without it: Pause names it as gone
// if it had not gone before. Once its connection is up again, it starts nothing before it has read
// the pauses, see [Connector]; while the connection is up and the store alone does not answer, it
// goes on, and learns of a pause at the next heartbeat. A process that was frozen for longer than
// its row lives starts nothing before it has read the pauses again, see [Session.Enter]; a run that
// entered before the freeze goes on after it, and its event is fenced by its claim alone. If the
// store's pauses are deleted, they are lifted; members say so in their logs.
//
// A lease has one holder at a time by the store's clock. A process that is frozen may believe that
// it holds one which is another's by now: [Lease.Token] fences what it writes.
//
// # Partitions
//
// [Session.Assign] spreads the partitions of a topic over the processes that call it:
//
//	assignment, err := session.Assign("order.placed", 8, &group.AssignmentOptions{Run: work})
//
// A partition has one owner at a time. It is handed over: its owner's Run returns first, and then
// the next one's begins. It is taken from a process whose row has expired, when that has stopped by
// its own clock: it starts nothing after [Ownership.Until]. What it has started goes on, and is
// fenced by its claims.
//
//	owned by A --(B is next)--> revoked --(A's Run returns)--> free --(B takes it)--> owned by B
//	owned by A, or revoked --(A's row expires)--> free
//
// While the store does not answer, owners go on until their rows may have expired; then the
// partitions are lost, and taken up again when it answers. While it does not exist, which is
// ErrNoStore, owners go on and nothing moves. A store that is deleted and made again has no plan:
// owners write themselves in again.
package group
