// Package outboxtest is the conformance suite that every outbox store passes.
//
// A store's test is two calls, [Run] for its Queue and Admin, and [RunDrainer] for a Drainer on it,
// with a [Harness] that says what the store is able to do. The suite asks for abilities, never for
// a name; cases that need an ability which the harness does not give are not run.
//
//	func TestConformance(t *testing.T) {
//		h := outboxtest.Harness{New: func(t *testing.T) outboxtest.Subject { return open(t) }, Admin: true}
//		outboxtest.Run(t, h)
//		outboxtest.RunDrainer(t, h)
//	}
//
// # Delivery semantics
//
// What the suite holds a store to is what package outbox promises; where that leaves something
// open, so does the suite.
package outboxtest
