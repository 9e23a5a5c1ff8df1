// Package explain answers two questions about a group: what became of one event, and what the group
// is waiting for. It reads what the bus, the store of marks, the dead-letter topic, the outbox and
// the members of the group know, and changes nothing.
//
//	story, err := sources.Story(ctx, explain.Query{Topic: "order.placed", ID: "17"})
//	lag, err := sources.Lag(ctx, sources.Group.Cursors[0])
//
// # What is known, and what is not
//
// A story is one time line. Each line names its source: the stream, the row that the store keeps of
// the event, a dead letter, or the outbox. Times are those of the source: the bus stamps what it
// stores, processes stamp the attempts that they made. Where the store keeps durations, their times
// are by the clock of whoever asks.
//
// An event that runs again, in a scope that a replay names, has a row of its own there. A story has
// one Standing for each scope that copies or letters of the event name.
//
// What could not be looked up, or is not kept, is named in Missing, with the reason. A store keeps
// the last dedupe.MaxHistory failed attempts alone, and nothing once the row has expired. Handlers
// that publish by an outbox leave no trace of what caused a row, but for rows whose id is the
// event's key in the group, as the handler publish makes them. Documents that carry marks of an
// event cannot be looked up by it.
//
// All that is read is read without a snapshot: the group may go on meanwhile.
package explain
