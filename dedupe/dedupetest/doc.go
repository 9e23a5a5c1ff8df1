// Package dedupetest is the conformance suite that every dedupe store passes.
//
// A store's test is one call of [Run] with a [Harness], which says how to make a store and what its
// surroundings can be made to do to it: lapse, skew, fail, refuse. The suite looks for abilities,
// as interfaces and hooks, never for a name; cases that need one which is not there are not run.
//
//	func TestConformance(t *testing.T) {
//		dedupetest.Run(t, dedupetest.Harness{
//			New: func(t *testing.T) dedupetest.Subject { return dedupetest.Subject{Store: open(t)} },
//		})
//	}
//
// Cases run in parallel, each with a store of its own. Real time passes only where its passage is
// what is tested: leases of [Harness.Lease] and TTLs of [Harness.TTL] are waited for, all others
// last for minutes.
//
// # Delivery semantics
//
// What the suite holds a store to is what package dedupe promises; where that leaves something
// open, so does the suite.
package dedupetest
