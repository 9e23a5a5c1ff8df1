// Package protocol is the life of a delivery as a state machine: what a process may fetch, claim, run, mark and
// acknowledge, and when. It has no goroutine, no clock and no I/O. Whoever drives it (the consumer's runtime, or a simulation)
// takes work from it, does it, and brings the answer back; every call carries the time.
//
//	         ┌─────────── waiting (for its order key)
//	         ▼
//	fetched → queued → claiming ┬ done, dead: ack
//	            ▲  (repeated)   ├ held, not yet due: nak
//	            └──────────────-┤ reused: queued again under a key of its own, to be buried
//	                            ├ dying: burying
//	                            ▼
//	                          ready → starting → running ┬ succeeded ┐
//	                            │        │               ├ failed    ├ settling → ack, nak, or nothing
//	                            └────────┴─ not begun ───┴───────────┤
//	                                                     given up ───┴ dying → burying → dead → ack
//
// Where runs are transactions (Config.Commit), a success is marked already, and acknowledged at once; a commit of which nobody knows
// whether it was made is told nothing, and the claim is left to its lease.
//
// The invariants that the simulation holds it to: an ack is sent only for what the store has said is done or
// dead; what is lost (superseded) is sent nothing; no run begins while paused, or with less than a third of its lease left; a
// success is marked until the store says stored or superseded; a claim's lease counts from when its request was
// sent.
package protocol
