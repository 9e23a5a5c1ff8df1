// Package protocol is the life of a delivery as a state machine: what a process may fetch, claim,
// run, mark and acknowledge, and when. It has no goroutine, no clock and no I/O. Whoever drives it
// (the consumer's runtime, or a simulation) takes work from it, does it, and brings the answer
// back; every call carries the time.
//
//	         ┌─────────── waiting (for its order key)
//	         ▼
//	fetched → queued → claiming ┬ done, dead: ack
//	   ▲        ▲  (repeated)   ├ held, not yet due: nak
//	   │        └───────────────┤ reused: queued again under a key of its own, to be dead-lettered
//	   │                        ├ dying: burying
//	   │                        ▼
//	   │                      ready → starting → running ┬ succeeded ┐
//	   │                        │        │               ├ failed    ├ settling → ack, nak, or nothing
//	   │                        └────────┴─ not begun ───┴───────────┤
//	   │                                                 given up ───┴ dying → burying → dead → ack
//	   │
//	   └ delivered again ─ expected (after each nak) ┬ done, dead, or another owner's: forgotten
//	                                                 └ gone from the bus: queued, to be dead-lettered,
//	                                                   or counted where its data was not kept
//
// Where runs are transactions (Config.Commit), a success is marked already, and acknowledged at
// once. If nobody knows whether a commit was made, the bus is told nothing and the claim is left to
// its lease.
//
// # Order
//
// The events of one order key are a lane: one of them is in flight, the others wait for it by
// sequence. An event that was nacked keeps its place in the lane until it was settled, was seen
// with another owner, or is gone from the bus. No clock ends that: a clock also runs while nothing
// can be delivered. What waits is bounded, in all (Config.MaxWaiting, MaxBytes) and per key; what
// is beyond is nacked, the latest first. So the event that others wait for is never refused, and an
// idle slot never waits for long while the bus has events of other keys.
//
// # Exposure
//
// At most Config.MaxUnmarked events have started and are not settled in the store. A slot that is
// held by a run is free when it returns; the exposure ends when the store has answered. A crash
// repeats at most as many effects.
//
// # Attempts and pace
//
// An attempt counts only against an event whose own fault it can be. A run that was throttled is
// none. A run that did not get through to the receiver is none at first; a later one is the event's
// own if, between the two, a run of another event began and succeeded, and no other event failed so
// since the last success. Until it is, such an event is put off, for as long as
// Config.GiveUp.
//
// The same answers set the pace. Throttling halves how many runs there may be at once, and then
// makes a gap between single starts; each success undoes a part, and ten seconds with nothing to do
// undo the rest. After five unavailable failures in a row the receiver is taken to be unavailable:
// claims that have not begun are given back, and one event at a time is fetched, claimed and run as
// a probe. Events that failed since come last.
//
// # Redelivery
//
// What was nacked is looked up when it is overdue: the bus first, then the store. In this order an
// event that another process settles in between, and that the bus then deletes, is seen as settled.
// What the bus does not have and nobody has settled is dead-lettered if its data was kept, else
// counted (Stats.Dropped).
//
// # Invariants
//
// The simulation holds the machine to these:
//
//   - An ack is sent only for what the store has reported done or dead.
//   - What is superseded is sent nothing.
//   - No run begins while paused, or with less than a third of its lease left.
//   - A success is marked until the store reports it stored or superseded.
//   - A claim's lease counts from when its request was sent.
//   - Nothing of an order key starts while an earlier event of it is in flight here or expected
//     back.
//   - Running, starting, and finished but unsettled events together are never more than
//     Config.MaxUnmarked.
//   - While the receiver is unavailable, one event is claimed and run at a time.
//   - Whatever was nacked is delivered again, or ends as settled, another owner's, dead-lettered or
//     counted as dropped.
//   - Once faults stop, everything is settled within a bound.
package protocol
