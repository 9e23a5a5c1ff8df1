// Package bus is the transport contract: what a consumer needs of a message bus, and what an
// adapter owes it. It uses the standard library only.
//
// # Delivery semantics
//
// A [Bus] delivers at least once. Every group has its own cursor over a topic; within a group a
// delivery goes to one of the group's sources, and comes again when it was not settled before its
// deadline ([SubscribeOptions.AckWait]), when it was settled by a nak, or when its settlement was
// lost. A settlement that arrives late settles whatever delivery of that event is out by then, also
// somebody else's: who is no longer sure that a delivery is his sends nothing.
//
// Beside what its publisher says, an event may carry what processes of Onceish tell each other
// about it ([Control]). That is bound to this one event: on any other, to which its headers were
// copied, it means nothing, and publishers drop it. Headers between a bus and its server
// ([ServerHeader]) are no part of an event: they are refused when it is published, and left out
// when it is read.
//
// Adapters: bus/memory (in the process, for tests) and bus/jetstream (NATS JetStream). bus/bustest
// is the conformance suite that each of them passes.
package bus
