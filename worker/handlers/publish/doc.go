// Package publish has a handler that publishes events to another topic.
//
// # Delivery semantics
//
// [Handler] publishes an event to another topic, once: its id there is "topic::group::id" of the
// event handled (dedupe.Key), the same in every attempt, so that the bus and whoever consumes
// recognise a repeat whose first confirmation was lost. Key, type, time, content type and data are
// kept, and headers but for Onceish's own and those between the bus and its server. Where it came
// from is in Onceish-Origin-Topic, Onceish-Origin-Id and Onceish-Origin-Source, percent-encoded.
// The Source is the default one.
//
// Stored, or there already, is done. What the bus can never take (bus.ErrTooLarge,
// bus.ErrInvalidEvent) is dead-lettered, and so is an event that is on the topic already, which
// would come back for ever. What the bus refuses is tried again. Everything else is trouble of
// every event: consumer.Unavailable.
//
// By way of an outbox ([NewOutbox]) the handler is done when the row is there: it does not
// wait for the bus, whose outages then fill the outbox and not the subscription's retries. A
// drainer publishes the row, under the same id. What the bus does not take of it is a dead row, and
// no dead letter.
package publish
