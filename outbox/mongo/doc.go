// Package mongo keeps an outbox in a MongoDB collection. Imported elsewhere it is
// called mongooutbox.
//
// # Delivery semantics
//
// Events that [Queue.Add] adds in a transaction are there once it commits, and never were if it
// aborts; then they are published at least once, as package outbox says. [Queue.AddAlone] needs
// no transaction: for events that tell of nothing else in the database, and for servers that have
// no transactions.
//
// Add joins the transaction of the session in its ctx, as Session.WithTransaction passes it on;
// without one it is [ErrNoTransaction]. The transaction's write concern must be majority: with
// less, a failover may take back what was committed after it was published. A callback that the
// driver runs again adds its events again, for the first run's were aborted. An event that is there
// already is left as it is, in and out of transactions; one of its topic, source and id with
// another payload is outbox.ErrExists.
//
// Everything else runs outside of transactions, also if there is one in ctx, writes with w:majority
// and reads from the primary with read concern majority; the concerns, read preference and registry
// of the client do not matter. Every call may be repeated, and is bounded by Options.Timeout. An
// error says nothing of any row. Counts of the server are compared with what was asked for, and
// rows are read back where they differ.
//
// # Order
//
// Rows of a key follow each other by seq, and equal seqs by id. A seq that the caller does not give
// is assigned by Add: nanoseconds of the server's time, and larger than all assigned before by this
// process in this outbox. So the events that one process adds for a key, one transaction after the
// other, are published as they were added. Transactions that overlap have no order, in one process
// or in several: what commits late may be published after what was added later. Where that matters
// give rows a Seq of your own, such as the version of what the key names, and write that in the
// same transaction: then the database lets one of two go first.
//
// AddAlone writes rows that have a key in common one after the other, so that none is there without
// those before it.
//
// A server reads a page bit by bit, and can miss a row that is committed behind where it is. So
// Pending looks at the keys of a page a second time, and leaves out what comes behind a row that
// the page should have, or behind a dead one.
//
// The seq of a scheduled row (outbox.Row.At) is when it is due, in nanoseconds, and after that its
// place in the call. [Queue.ReleaseDue] makes due rows of one key pending by writes that follow
// each other, so none is pending before one that is due before it. [Queue.Cancel] and [Queue.Move]
// join a transaction if there is one in ctx: cancel a reminder in the transaction that makes it
// pointless.
//
// # Time
//
// The server's clock is the only one that counts. A settlement compares the end of its lease with
// $$NOW as it is carried out, however late it arrives, leases are given by $$NOW, and what is due
// is told by the $$NOW of the read that found it. An inserted document cannot carry that, so rows
// are added with the machine's monotonic time plus the offset of the server's clock, measured by
// hello each minute and after every error; beyond 5 s of doubt the call fails with [ErrClock].
// Wrong wall clocks of clients do no harm. Nodes of a replica set, and mongos routers, are to be
// kept within a second of each other by NTP: a failover or another router brings another clock.
//
// # The row
//
//	_id           outbox.RowID: the event's id, topic and source
//	id, topic, key, type, source, content_type, data    the event's; what is empty is absent
//	time, nanos   the event's time in milliseconds, and what it has beyond them
//	headers       [{name, values}]
//	hash          outbox.Hash of key and id
//	seq           its place among the rows of its key
//	status        pending, sent, dead or scheduled
//	version       grows by one with every write
//	attempts      how often the bus refused it
//	due           pending again after a refusal: from when
//	at            from when on it may be published; rows that are due later
//	scheduled     the seq, until the row is made pending
//	reason        of the last refusal, or why it is dead
//	copies        how often it was made pending again after it was sent
//	ts            when it was added
//	sent_at       when it was marked as sent; sent rows only
//
// # Partitions
//
// One document, in a collection of its own named like the outbox's and ".partitions", has all
// leases. Who changes it does so by one update that matches it only as it was read. The number
// of partitions is fixed when it is first made. Should it be lost, Acquire fails until New
// makes it again.
//
// # Indexes
//
// (status, hash, seq, _id) has what is pending and dead; (ts, seq, _id) has rows as they were
// added; a sparse index on scheduled has scheduled rows, and no others, in the order in which they
// are due; a sparse TTL index on sent_at removes sent rows, and no others, after Options.Keep.
// [New] makes them, or changes the TTL by collMod. It drops nothing: an index that cannot be lived
// with (a unique one, another TTL, a partial one in the place of these) is an [ErrCollection] that
// names it. So is a view, a capped collection, and one with a collation. A sharded collection has
// to be sharded by _id, hashed at best: otherwise _id is not unique.
//
// # Privileges
//
// find, insert, update and listIndexes on both collections; createIndex unless the indexes are
// there; collMod if the TTL is another; remove for Drop; find on onceish.waiting and on the
// collections that it names for Count; changeStream for Watch, which replica sets and sharded
// clusters have; listCollections on the database, without which the checks of the collection's kind
// are left out. The role readWrite has all of them but collMod, which dbAdmin has.
package mongo
