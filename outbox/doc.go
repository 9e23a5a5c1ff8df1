// Package outbox moves events from where they were written, together with the data that they tell
// of, to the bus. It uses the standard library and package bus only.
//
// A writer adds rows to a [Queue] in the transaction, or the document, that changes its data.
// [Drainer], in as many processes as there are, publishes them and marks them as sent.
//
// # Delivery semantics
//
// A row that was added is published at least once, always under the same event id: a repeat is
// recognised by the bus within its window, and by consumers that deduplicate beyond it. An event is
// published twice only after a fault: a confirmation was lost, a drainer ended between publishing
// and marking, a lease ran out.
//
// Order is per key and writer: first publications happen in the order of [Row.Seq], with any number
// of drainers. Per key one event is in flight; the next one starts when it is confirmed. Keys, and
// events without one, do not wait for each other. Concurrent writers of one key have no order. Rows
// are chosen by their status, never by a cursor, so a transaction that commits late is published
// late, and not missed.
//
// The rows are divided into partitions by the [Hash] of their key. A drainer leases partitions,
// starts no publication past its lease, and marks nothing past it. A publish call in flight when
// the lease ends may be stored late. It can repeat an event, but never reorder events.
//
//	scheduled ──Schedules.Cancel──▶ gone
//	 │ due, by the store's clock
//	 ▼
//	pending ──confirmed──▶ sent ──its TTL──▶ gone
//	 │ ▲  └─ refused: an attempt is counted, pending again after a backoff
//	 │ │
//	 │ └──Admin.Retry, Admin.Republish
//	 ▼
//	dead: too large, not publishable, or refused too often
//
// A row that is added with [Row.At] is scheduled: it is published at that time or later, and until
// then can be listed, cancelled and moved by [Schedules]. The scheduled rows of a key are published
// in the order in which they are due; rows of the key that are not scheduled do not wait for them,
// also once they are due. No clock but the store's matters.
//
// Attempts count the bus's answers about the row itself. While the bus does not answer, the drainer
// waits and counts nothing; while a topic has no stream, or its stream can store nothing, that
// topic waits. A row that is dead stays, with its reason, until an [Admin] retries or drops it; the
// rows of its key behind it wait for that, unless [Options.AfterDead] says otherwise.
//
// Adapters: outbox/memory (in the process, for tests) and outbox/mongo. outbox/outboxtest is the
// conformance suite that each of them passes.
package outbox
