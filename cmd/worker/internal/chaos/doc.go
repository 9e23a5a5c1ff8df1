// Package chaos injects faults into a group of worker processes while they work, and judges from a
// journal outside what became of each event.
//
// [Run] publishes events at a steady rate, some of them more than once, and starts worker
// processes that handle them: each effect is a line in a journal, a file that neither the bus nor
// the store knows of. Each process reaches NATS and MongoDB through proxies of its own. Meanwhile
// faults happen, on a schedule that a seed decides: processes are killed, frozen and drained,
// connections are cut, reset, refused, delayed or silent in one direction, the group's consumer is
// deleted, and NATS itself is killed and started again. In the end all faults are healed,
// everything must settle, and the journal says what is lost, what is repeated, and why.
//
// [Work] is what a worker process does: consumer.SubscribeExactlyOnce in a worker.Worker, and
// nothing made for this but the handler.
//
// # What is a violation
//
//   - An event without its effect (lost), and an event that was dead-lettered though its handler
//     did not mean it, or not dead-lettered, or twice, though it did.
//   - A repeat that nothing explains. An effect explains one repeat if its process was killed
//     before it knew the mark to be stored, or lost the claim while it was frozen, or cut off from
//     the store. A kill explains at most as many repeats as its process has slots.
//   - Two runs of one key at the same time in one process, and an event that overtakes an earlier
//     one of its key there which waits for its retry.
//   - A group that does not settle when all faults are over, and a process that ends by itself
//     though it had started, or does not drain.
//
// A fault that hits nothing proves nothing. For each kind it is counted how often a run was in
// flight, or an effect was not marked, at the moment of the fault. A kind without any is reported
// as inconclusive.
//
// A machine that stands still for a large part of a lease is a fault that nobody has injected. The
// processes write down when they stood still, and the servers are probed: claims that were lost
// then are explained by that.
package chaos
