// Package ndjson publishes lines of text, such as NDJSON, as events.
//
// # Delivery semantics
//
// [Publish] publishes each line at least once under a message id that is the same each time, and
// tells which lines are not known to be stored. Lines are stored in their order, or in that of each
// key ([Order]): the next one is published when the one before is confirmed, so that none comes
// behind a later one when a leader changes. A line with an id of its own (the field "id" of a JSON
// object, or the field that was asked for) is one event however often it is published: for as long
// as the bus remembers its message id it is stored once, after that the consumers recognise it. An
// id that is neither a number nor a string with something in it is refused. A line without one gets
// a fresh id each time that it is read: two equal lines are two events.
package ndjson
