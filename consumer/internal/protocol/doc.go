// Package protocol is the life of a delivery as a state machine: what a process may fetch,
// claim, run, mark and ack, and when. It has no goroutine, no clock and no I/O. A driver (the
// consumer's runtime, or a simulation) takes work from it, does it, and brings the answer back;
// every call carries the time. Work and answer stand together, by phase, and beside them what
// cuts across phases:
//
//	phase            file           work, answer               driven by, in package consumer
//	fetch            fetch.go       Fetch, Fetched             fetch.go
//	                 admit.go       what becomes of a delivery
//	claim            claim.go       Claims, Claimed            storecalls.go
//	                 quarantine.go  suspects run apart
//	                 ordering.go    key queues
//	run              run.go         Next, Begin, Ran           runslot.go
//	                 pace.go        how many may start
//	                 retry.go       when an event is retried
//	settle           settle.go      Settlements, Settled       storecalls.go
//	answer           answer.go      Answers                    answers.go
//	dead-letter      deadletter.go  Letters, LetterPublished   letterpublisher.go
//	renew            deadlines.go   Renewals, Renewed; Tick    storecalls.go, engine.go
//	after a nack     redelivery.go  Lookups, LookedUp          storecalls.go
//	watermark        watermark.go   SettledUpTo and its like   watermark.go, internal/cursor
//	ownership        ownership.go   SetOwnedUntil, Lose        whoever runs an engine per partition
//
// # Phases
//
// A job is what a process does about one key, for all copies of the event that are in flight there.
//
//	phase          event                                   → phase
//	(none)         Fetched                                 → waiting, or queued without an order key
//	waiting        its turn in its key queue               → queued
//	               pause, drain, loss, too many wait       → ended (nack)
//	queued         Claims                                  → claiming
//	               pause, drain, loss, waited too long     → ended (nack)
//	claiming       Claimed: won                            → ready
//	               Claimed: won, but not to run now        → settling (released or postponed)
//	               Claimed: won, and to be given up        → settling (given up)
//	               Claimed: done, dead                     → ended (ack)
//	               Claimed: held, not due                  → ended (nack)
//	               Claimed: id reused                      → queued, under a key of its own
//	               Claimed: dead-lettering, key refused    → deadLettering
//	               Claimed: store full                     → queued
//	               Claimed: failed                         → claiming (repeated)
//	ready          Next                                    → starting
//	               pause, drain, loss, waited too long,
//	               suspects                                → settling (released or postponed)
//	               Renewed: superseded                    → ended (no answer)
//	starting       Begin                                   → running
//	               Begin: too little of the lease is left  → ready
//	               Begin while halted or without
//	               ownership, Abandon                      → settling (released or postponed)
//	running        Ran: success, failure, cancelled        → settling
//	               Ran: given up                           → settling (given up)
//	               Ran: committed with its mark            → ended (ack)
//	               Ran: superseded, commit unknown         → ended (no answer)
//	               run limit, and did not return           → settling; its slot stays taken
//	settling       Settled: succeeded, dead-lettered       → ended (ack)
//	               Settled: failed, released               → ended (nack)
//	               Settled: postponed                      → queued
//	               Settled: given up                       → deadLettering
//	               Settled: superseded                     → ended (no answer)
//	               Settled: failed call, refused           → settling (repeated)
//	deadLettering  LetterPublished: stored                 → settling (dead-lettered)
//	               LetterPublished: not stored             → ended (nack)
//	leaked         Ran                                     → ended
//
// A job that ends while its handler has not returned is leaked: no other copy of its key may run
// here meanwhile.
//
// # How a job ends
//
// Seven verbs bring a job to its end. The first four tell the store, the last three the bus:
//
//	settleClaim     tells the store how the claim ended: succeeded, failed, given up
//	releaseClaim    settles it as not begun, which counts nothing
//	postponeJob     releases it, keeps the delivery here, and claims it again
//	deadLetterJob   settles it as given up; then its letter is stored, and it is settled as dead
//	finishJob       answers all its copies alike: ack, or nack
//	nackUnclaimed   finishes a job that holds no claim
//	disownJob       answers nothing, for the claim is or may be another's
//
// Where runs are transactions (Config.Commit), a success is marked already, and acked at once. If
// nobody knows whether a commit was made, the bus is told nothing and the claim is left to its
// lease.
//
// Once the partition is lost, nothing is told to the bus, however a job ends.
//
// # Order
//
// Of the events of one order key one is in flight, and the others wait for it in a key queue, by
// sequence. An event that was nacked keeps its place there until it was settled, was seen with
// another owner, or is gone from the bus. No clock ends that: a clock also runs while nothing can
// be delivered. What waits is bounded, in all (Config.MaxWaiting, MaxBytes) and per key; what is
// beyond is nacked, the latest first. So the event that others wait for is never refused, and an
// idle slot never waits for long while the bus has events of other keys.
//
// # Ownership
//
// Where a process owns its topic (Config.Owned), a partition, it is the only one that reads it, and
// order holds over all processes. Three things see to that.
//
//   - It starts at the lowest unsettled event. Its driver rewinds the cursor before the Machine is
//     made. It does so again whenever a delivery may have been lost on its way here, because a
//     fetch failed or the count of deliveries has a gap: what is delivered after the lost one is
//     not taken in, for it may be a later event of the same key. It makes the cursor again only
//     while the ownership is certain.
//   - An event that another process has, or may have, keeps its place in its key queue until it is
//     settled, or until its lease is over and it is taken over here. A former owner may still have
//     some: those that run there, and those that it had claimed when it crashed.
//   - From the end of its ownership on (SetOwnedUntil), by its own clock, it fetches, claims and
//     begins nothing. So a process that was frozen starts nothing beside the next owner. What it
//     had claimed before is fenced, event by event.
//
// An ownership ends in one of two ways. It is handed over: Drain, and the next process takes over
// once Drained reports true. Or it is lost: Lose cancels what runs, and the bus, whose deliveries
// are the next owner's, is told nothing more. What a lost owner has claimed it releases, and what
// it has run it settles, for the store knows whose a claim is.
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
// since the last success. Until then, such an event is put off, for as long as Config.GiveUp.
//
// The same answers set the pace. Throttling halves how many runs there may be at once, and then
// makes a gap between single starts; each success undoes a part, and ten seconds with nothing to do
// undo the rest. After five unavailable failures in a row the receiver is taken to be unavailable:
// claims that have not begun are given back, and one event at a time is fetched, claimed and run as
// a probe. Events that failed since are tried last.
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
//   - A delivery whose claim is superseded is answered nothing.
//   - No run begins while paused, or with less than a third of its lease left.
//   - A success is marked until the store reports it stored or superseded.
//   - A claim's lease counts from when its request was sent.
//   - Nothing of an order key starts while an earlier event of it is in flight here or expected
//     back; in an owner also while an earlier one is with another process.
//   - An owner fetches, claims and begins nothing once its ownership is over, but repeats what it
//     has requested before. Once it is lost, it tells the bus nothing.
//   - Running, starting, and finished but unsettled events together are never more than
//     Config.MaxUnmarked.
//   - While the receiver is unavailable, one event is claimed and run at a time.
//   - Whatever was nacked is redelivered, or ends as settled, another owner's, dead-lettered or
//     counted as dropped.
//   - Once faults stop, everything is settled within a bound.
package protocol
