// Package flow holds back what would start too soon, with gates that are open or shut and limits on
// how many may start in a time. It uses the standard library only, so anything can be a [Gate] or a
// [Limiter], with or without a subscription.
//
// # Strategies
//
// A [Rate] of Limit per Per is kept in one of four ways. Memory is that of each key.
//
//	strategy        what it promises                                     memory
//	token-bucket    in any time T at most Burst + Limit × T/Per          100 bytes
//	fixed-window    at most Limit in each window of Per, so up to        100 bytes
//	                2 × Limit around the end of one
//	sliding-window  about Limit in any Per: it takes the window before   100 bytes
//	                for evenly filled
//	sliding-log     never more than Limit in any Per                     100 bytes, and 16 for
//	                                                                     each time of starts
//
// A change of numbers makes no burst. Of a bucket, the tokens that are left stay, up to the new
// burst; of windows and logs, what has started stays counted.
//
// # Limits in one process
//
// A [Local] answers from memory. It knows up to MaxKeys keys; beyond them it forgets those that
// are idle, and keys that find no room share one limit. [Wait] waits for any Limiter, and a [Queue]
// bounds how many wait, and for how long.
//
// # Limits that processes share
//
// A [Shared] keeps the same state in a row of a [Store], on the time of the store's server. A
// process reserves what it may start in 50 ms, at least one start, and starts that without another
// call; what is left of it later is dropped. So all processes together start what the strategy
// promises, plus at most a chunk for each process: Limit × 50 ms / Per / Members, or 1. A sliding
// log has no such excess: it counts a start with the last moment at which it may begin, up to 50 ms
// (or Timeout, if that is longer) and the doubt of the clock later, so it starts a little less than
// it may. A key that was refused is not asked for again before its RetryAfter, and each key has one
// call in flight. A bucket that is shared should have a Burst of a chunk or more; with less it
// refills no more while processes are on their way.
//
// When the store fails, or does not answer in time, that is an outage: it is logged and counted
// once. Until the store answers again, each process starts its share, Limit / Members and at least
// 1 in Per, or nothing, as OnOutage says. What the store has granted is counted against the share
// too, so a store that comes and goes gives no fresh burst; what was started without the store is
// never counted there. The store is tried in the background, first after 50 ms, then at growing
// intervals up to 1 s. A malformed row is replaced by one with nothing left.
//
// [ListUsage] shows what a store that is a [Lister] counts of each key.
//
// # Delivery semantics
//
// None of its own. What is held back has not begun: consumer gives it back after a lease, and
// counts no attempt. Gates and a Local hold for one process, a Shared for all that use its name
// in its store. Limits bound starts, not what arrives elsewhere at the end of them. A failover of
// the store may forget the starts of its last moments.
package flow
