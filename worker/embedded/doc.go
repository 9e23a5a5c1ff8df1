// Package embedded runs a NATS server with JetStream in the process, for use on one machine. Only
// cmd/worker links it.
//
// The server keeps everything under a data directory, listens on the loopback address only, on a
// port that was free when the directory was made, and asks for a random password. Both are in the
// file nats.url there, which only its owner may read.
//
// One process serves a directory, which it holds locked: two servers over one store would corrupt
// it without an error. Processes that come later join the first one as clients. When that ends,
// another one of them serves on, at the same address, so that the clients of all others reconnect.
//
// # Delivery semantics
//
// What the server has confirmed is on the disk (every write is synced), and survives a crash of the
// process, of the machine, and a power failure. What the disk has no space for is not confirmed;
// once a write has failed the server takes no more for that stream, until its process starts again
// with space on the disk. It leaves a quarter of what was free at the start to others. Syncing
// costs most of the speed that JetStream could have. Who needs it runs a NATS server.
package embedded
