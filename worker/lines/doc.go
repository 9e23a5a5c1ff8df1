// Package lines publishes lines of text, such as NDJSON, as events.
//
// # Delivery semantics
//
// [Publish] publishes each line at least once under a message id that is the same each time, in the order of the lines, and tells
// which lines are not known to be stored. A line with an id of its own (the field "id" of a JSON object, or the field that
// was asked for) is one event however often it is published: for as long as the bus remembers its message id it is stored
// once, after that the consumers recognise it. A line without one gets a fresh id each time that it is read: two equal lines are two events.
package lines
