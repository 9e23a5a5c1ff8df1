// Package mongowire stands between the MongoDB driver and a server, for tests: [Proxy] loses
// commands and answers, and edits these; [Set] makes a member of a replica set, with transactions,
// of a server that has none.
package mongowire
