// Package flowtest is the conformance suite that every flow.Store passes, with a store in memory
// and a wrapper that makes any store fail.
//
// A store's test is one call of [Run] with a [Harness]:
//
//	func TestConformance(t *testing.T) {
//		flowtest.Run(t, flowtest.Harness{
//			New: func(t *testing.T) flowtest.Open {
//				return func(skew time.Duration) flow.Store { return open(t, skew) }
//			},
//		})
//	}
//
// # Delivery semantics
//
// What the suite holds a store to is what flow.Store and flow.Shared promise: starts of all
// processes together stay within the limit, plus a chunk for each process.
package flowtest
