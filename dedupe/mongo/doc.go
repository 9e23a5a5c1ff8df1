// Package mongo keeps dedupe state in a MongoDB collection. Imported elsewhere it is
// called mongodedupe.
//
// # Delivery semantics
//
// A [Store] can do all that package dedupe describes: it claims, extends and settles, reopens,
// and keeps watermarks. Claims and marks are written with w:majority, and whatever leads to an
// acknowledgement is read with read concern majority from the primary, so that no failover
// takes back what an event was acknowledged on. Options.WriteConcern can weaken the writes,
// for telemetry; even then only what a majority has is answered as done or dead. The concerns,
// read preference and registry of the client do not matter, and a transaction in a caller's
// context is left out.
//
// Every call may be repeated, and is bounded by Options.Timeout. An error says nothing of any item.
// What is owned is owned by its nonce: a claim whose answer was lost is found to be this request's
// own, a settlement whose answer was lost is found to be applied. Counts of the server are compared
// with what was asked for, and rows are read back where they differ.
//
// A row that the server refuses (a validator, a document that is too large) is an answer of its
// own: the others of its batch are carried out. A row in a state that this version does not know is
// held, told of once, and left to the version that wrote it. Where the row of a claim is gone, its
// owner's settlement or extension inserts it again.
//
// Round trips do not grow with the batch: fresh keys cost one, duplicates two, takeovers three; a
// settlement or an extension costs one, and one more when some claim was lost. Batches beyond 1,000
// are worked off in parts.
//
// # Transactions
//
// [Store.Transact] runs a function in a transaction with read and write concern majority, whose
// first statement turns the claim into the mark: matched, or aborted before the function runs. What
// the function does with its context joins; what it does otherwise (another client, a call, a mail)
// does not, and is neither undone nor done once. It is run again, in a new transaction, when the
// server gives one up: for a write conflict, a change of primary; up to five times within about a
// second, for whoever holds the lock may be dead. Errors of the driver are to be returned, wrapped
// or not: a write error ends a transaction on the server, and one that is hidden is found at the
// commit. After three such runs in a row, and when the function has committed or aborted by itself,
// the error is dedupe.ErrTransactionEnded. One session is not safe for concurrent use, so the
// function does one thing after the other. Collections it writes to should exist. A function that
// ends its transaction and starts another one on the same session is not found out.
//
// A commit that was not answered is sent again, and its mark looked for, until one of them tells
// or the lease is over ([dedupe.ErrCommitUnknown]). Nothing is aborted beside a commit that may
// be in progress.
//
// From its first statement on a transaction locks the row, so a claim must not be extended or
// settled while its own transaction runs. Before that it renews the claim for its whole time, and
// writes its session's id into the row. Whoever takes over a claim whose lease is over, and that
// names a session, does so in a transaction of its own: a lock turns that down at once, where a
// plain update would wait. Then killSessions ends the session that holds the lock, and the takeover
// is made again. Where the server does not permit that, the claim is answered Held until the server
// has ended the transaction: transactionLifetimeLimitSeconds (60), and half of that again at worst.
// One call takes over at most 16 such claims, and what else is in its batch waits for no lock.
//
// Some servers answer OK to transactions that they do not make. [Store.ProbeTransactions] finds
// out, from a second session before the abort and after it: it takes the privilege remove to delete
// what such a server kept, and leaves that to the TTL index otherwise.
//
// # Time
//
// The server's clock is the only one that counts. Updates compute with $$NOW and reads bring it
// along. An inserted document cannot, so a fresh claim carries the machine's monotonic time plus
// the offset of the server's clock, measured by hello each minute and after an error, by one caller
// for all, within 10 s. What is unsure about it (half a round trip) is added to the lease; beyond 5
// s the call fails with [ErrClock]. Wrong wall clocks of clients do no harm. Nodes of a replica
// set, and mongos routers, are to be kept within a second of each other by NTP: a failover or
// another router brings another clock.
//
// # The row
//
//	_id          topic::group::id, as dedupe.Key.String has it; "%sha256:" and its hash where that is over 1,024 bytes
//	state        claimed, free, dead-lettering, done or dead
//	owner        nonce of the last claim
//	token        grows with every takeover
//	lease_until  end of the lease; of a free row, when it is due
//	attempts     runs that failed
//	crashes      claims that ended by their lease alone
//	since        first claim; absent after Reopen
//	hash         of the first payload
//	reason       why it was given up: dead-lettering and dead only
//	letter       id of the dead letter: dead-lettering and dead only
//	note         what a Noter keeps; absent: nothing
//	history      last failed attempts, the earliest first; absent: none failed
//	session      id of the session whose transaction may lock the row: claimed only
//	expireAt     when the row counts as absent, whether it is still there or not
//
// An attempt is {number, ended, took_ns, process, token, sequence, error}: [dedupe.Attempt].
//
// Mark leaves only _id, state, token, hash and expireAt.
//
//	       insert                Succeeded
//	absent ──────▶ claimed ─────────────────▶ done
//	                │ ▲ ▲ └──GivenUp──▶ dead-lettering ──DeadLettered──▶ dead
//	Failed, NotBegun│ │ └─ lapsed: owner, token + 1, crashes + 1
//	                ▼ │ due: owner, token + 1
//	                free ◀──Reopen── dead-lettering, dead
//
// A takeover is one update that matches the row only as it was read: owner, state, token, lease and
// expiry. Whoever touches the row in between makes it miss.
//
// Watermarks are in the same collection, one document for each group and topic: {_id:
// "%watermark::topic::group::", streams: [{stream, sequence, stored}]}. No key's _id begins like
// that. They have no expireAt, so they stay.
//
// # Indexes
//
// Rows leave by a TTL index on expireAt with expireAfterSeconds 0. [New] makes it, or sets another
// expireAfterSeconds to 0 by collMod. It drops nothing: an index that cannot be lived with (a
// unique one, another TTL, one on expireAt that is partial or has no TTL) is an [ErrCollection]
// that names it. So is a view, a capped collection, and one with a collation. A sharded collection
// has to be sharded by _id, hashed at best: otherwise _id is not unique.
//
// # Privileges
//
// find, insert, update and listIndexes on the collection; createIndex unless the index is there;
// collMod if it has another expireAfterSeconds; listCollections on the database, without which the
// checks of the collection's kind are left out. killSessions needs none for sessions of the same
// user. The role readWrite has all of them but collMod, which dbAdmin has. Documents are never
// deleted by a Store, but for what a probe of transactions should not have left.
package mongo
