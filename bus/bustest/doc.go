// Package bustest is the conformance suite that every bus passes. A bus's own test is one
// call of [Run].
//
// # Delivery semantics
//
// Each case is named after a promise of package bus, and holds for a bus in the process as for a
// server over a network: the suite polls for what must come, up to a limit, and never assumes how
// soon it does. What a bus cannot be made to do (lose a consumer, restart) is a nil function in the
// [Harness], and the cases that need it are not run.
package bustest
