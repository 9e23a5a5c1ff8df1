// Package breaker holds starts back while a receiver fails, and finds out how many it can take at
// once. [Breaker] and [AdaptiveLimit] are gates: each implements flow.AdaptiveGate, for a
// subscription or for any other caller.
//
// A [Breaker] opens after some failures in a short time. Then nothing starts until its wait is
// over; then one run probes the receiver, and a ramp of 2, 4, 8 and more at once follows:
//
//	closed ──failures within the window──▶ open ◀────────────┐
//	  ▲                                     │ wait is over    │ a failure: the wait doubles
//	  │                                     ▼                 │
//	  └──the ramp has reached its end── half-open: 1, 2, 4 … ─┘
//
// An [AdaptiveLimit] compares two limits, one half as large again as the other. While runs take no
// longer under the larger one it raises both; when they take longer in proportion, the receiver has
// no more to give, and it lowers both.
//
// # Delivery semantics
//
// None of its own. What a gate holds back has not begun, and consumer counts no attempt for it. An
// open breaker therefore costs attempts only to the events that ran before it opened, and to its
// probes.
//
// A run counts for the time it began in: the result of one that began before the breaker opened is
// ignored, however late it comes. A run given back with context.Canceled counts for nothing.
//
// Both hold for one process. With [Options.Shared] an opening holds for a group of processes, and
// one of them at a time probes. Failures are counted by each process for itself.
package breaker
