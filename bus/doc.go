// Package bus is the transport contract: what a consumer needs from a message bus, and what an
// adapter must provide. It uses the standard library only.
//
// # Delivery semantics
//
// A [Bus] delivers at least once. Every group has its own cursor over a topic; within a group a
// delivery goes to one of the group's sources. It is redelivered when it was not answered before
// its deadline ([SubscribeOptions.AckWait]), when it was nacked, or when its ack was lost. A late
// ack or nack applies to the current delivery of the event, even one that another consumer holds: a
// consumer that may have lost a delivery must not answer it.
//
// An event may carry [Control] headers, by which processes of Onceish tell each other about it.
// They are bound to that event: publishers drop them when they were copied to another one. Headers
// that the server interprets ([ServerHeader], such as Nats-TTL) are not part of an event: they are
// refused when it is published, and left out when it is read.
//
// A [Reader] reads again what is stored, without a group and without settling anything. It leaves
// out nothing in silence: what the stream dropped before it was read is reported as a
// [DroppedError], and a stream that is not the one of a known position is [ErrStreamReplaced].
//
// A topic can be in partitions ([Partition]): events of a key are in one of them, and one process
// of a group reads it. It takes the group's cursor over with [SubscribeOptions].Rewind. To
// consumers events of all partitions are of one topic, see [LogicalTopic].
//
// A [Deleter] deletes single events for good, such as dead letters that were redriven.
//
// Adapters: bus/memory (in the process, for tests) and bus/jetstream (NATS JetStream). bus/bustest
// is the conformance suite that each of them passes.
package bus
