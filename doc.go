// Package onceish is the root of an exactly-once-ish consumer framework. At-least-once buses
// deliver twice; Onceish makes the effect happen once, and says how far that promise goes. The
// package itself is empty.
//
// To write a worker binary, start with package worker (worker.Main); to embed a consumer in a
// service, with package consumer (consumer.SubscribeExactlyOnce). The command cmd/worker needs no
// Go. The folder examples has a program for each. To implement a bus or a store, start with the
// contracts in packages bus and dedupe, and with the suites that hold them, bustest and dedupetest.
//
// # Delivery semantics
//
// What is promised, by kind of effect, stands in package consumer; docs/guarantees.md
// says it in full.
package onceish
