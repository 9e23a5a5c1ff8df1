// Package outboxtest is the conformance suite that every outbox store passes.
//
// A store's test is two calls, [Run] for its Queue and Admin, and [RunDrainer] for a Drainer on it,
// with a [Harness]. The suite looks for abilities: nil hooks and interfaces, never for
// a name; cases that need one which is not there are not run.
//
//	func TestConformance(t *testing.T) {
//		h := outboxtest.Harness{New: func(t *testing.T) outboxtest.Subject { return open(t) }}
//		outboxtest.Run(t, h)
//		outboxtest.RunDrainer(t, h)
//	}
//
// # Delivery semantics
//
// What the suite holds a store to is what package outbox promises; where that leaves something
// open, so does the suite.
package outboxtest
