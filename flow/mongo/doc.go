// Package mongo keeps the limits that processes share in a MongoDB collection. It is the store of
// choice for them: a reservation is one command, also when another process was faster. Imported
// elsewhere it is called mongoflow.
//
// # Delivery semantics
//
// Each change of a row is one findAndModify by _id, which writes only if the row is as it was read,
// and answers with the row as it is. Rows are written with w:1 and read from the primary: what a
// failover takes back are starts of its last moments, which the limit then does not count. The
// concerns, read preference and registry of the client do not matter, nor does a transaction in the
// caller's ctx.
//
// Times are the server's: those of rows are computed by the limit from the machine's monotonic time
// and the offset of the server's clock, measured each minute and after every error; a row's end is
// computed from $$NOW.
//
// # The row
//
//	_id       the name of the limit and the key
//	data      the state, which only package flow reads
//	revision  another random number with every write
//	expireAt  when the row is that of a new key; a TTL index removes it
//
// # Privileges
//
// find, insert and update; listIndexes, and createIndex unless the index is there. Without an index
// limits are kept, and rows are never removed; the log says so once. [Store.List] takes find alone.
package mongo
