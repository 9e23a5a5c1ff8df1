// Package flow holds back what would start too soon, with gates that are open or shut and limits on
// how many may start in a second. It uses the standard library only and imports nothing of Onceish,
// so anything can be a [Gate] or a [Limiter].
//
// # Delivery semantics
//
// None of its own. What is held back has not begun: consumer gives it back after a lease, and
// counts no attempt. Gates and limits hold for one process.
package flow
