// Package dedupe is the store contract: who may run the handler for an event, and which events are
// done. It uses the standard library only.
//
// # Delivery semantics
//
// A [Store] remembers marks; that serves the mode seen/mark, in which two concurrent copies of an
// event may both run. A [Claimer] also leases the right to run, fenced by a nonce and a token, so
// that no two unexpired leases of a key exist, and a stale owner can settle nothing. Every read
// checks the TTL: an expired row counts as absent, even before it is deleted.
//
// Each item of a call has an answer of its own. A refused item does not affect the others; it is
// repeated alone. If the call itself fails, any item may or may not have been applied. Payloads are
// told apart by hashes that name their algorithm ([NewHash]); those of different algorithms are not
// compared. A missing row does not mean that the claim was lost: Extend and Settle write it again.
// A row in a state that a store does not know is held, and left to the version that wrote it.
//
// The life of a key in a Claimer:
//
//	absent ──claim──▶ claimed ──Succeeded──▶ done
//	                  │  ▲  ├──GivenUp──▶ dead-lettering ──DeadLettered──▶ dead
//	 Failed, NotBegun │  │  └── its lease ends: the next claim takes over (crash + 1)
//	                  ▼  │
//	                  free ── due: the next claim takes over
//
//	dead-lettering and dead ──Reopen──▶ free; everything is absent once its TTL is over
//
// A run that failed leaves an [Attempt] in the history of its key: written with the settlement that
// it ends with, and kept as long as the row. An [Inspector] reports the history and all else that
// is kept. A key that never failed has none, and costs nothing for it.
//
// A [Noter] keeps a short text with a claim, such as a decision that the next run must not make
// again.
//
// A [Transactor] goes from claimed to done in one transaction with the handler's own writes.
//
// Adapters: dedupe/memory, dedupe/mongo (MongoDB) and dedupe/kv (a JetStream key-value bucket).
// dedupe/dedupetest is the conformance suite that each of them passes.
package dedupe
