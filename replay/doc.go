// Package replay reads again what is stored on a bus: it exports events to a file, one per line,
// and imports them; and it publishes events again, for one group or to another topic.
//
// A line is a CloudEvent in the JSON format (specversion 1.0) with the extension attributes topic,
// streamsequence and streamtime (where the event lay, and when it was stored there), partitionkey
// (Event.Key), and with headers, an object of lists of strings. Data is written as JSON or text
// where its content type says that it is, and where its bytes survive that; otherwise as
// data_base64.
//
// [Export] leaves out nothing in silence, as [bus.Reader]: what the stream dropped before it was
// read makes the export end with an error, after everything that is there was written. It returns
// the position after which a later export goes on, without a gap or a repeat.
//
// [Import] publishes each line at least once, confirmed, and keeps id, source, topic, key, type,
// time, content type, data and headers of each event; sequences and stored times are the new
// stream's. So an import that is repeated stores each event once for as long as the bus remembers
// message ids, and consumers recognise it as long as they keep marks. What was deleted meanwhile is
// stored again. An event that could not be read as one when it was exported is imported as an event
// under the id of its position.
//
// [ToGroup] publishes copies of events under their identities, for one group: the others
// acknowledge them unrun. The group handles each event that it has no mark of, once, however often
// the replay is repeated, interrupted or started twice. What it has a mark of it recognises as
// done. Marks expire (consumer.Options.TTL): an event that was handled longer ago runs a second
// time. [PreviewGroup] counts beforehand what would run.
//
// With Options.Again the events run a second time on purpose, in a scope: each of them once within
// one scope, whatever was done in others, under another idempotency key. The marks of the first
// time stay. Workers of a version that does not know scopes recognise such a copy as done.
//
// Not replayed are copies that were stored for one group (their events are where they were first
// stored, or dropped), dead letters (they are redriven), and messages that cannot be read as
// events; they are counted. Copies of one key are stored in the order of their events, behind
// whatever the key has had since; other orders hold unless the bus fails meanwhile. A position up
// to which a replay has come is never past a copy that is not confirmed.
//
// [ToTopic] publishes events to another topic, where they are other events, with the same ids.
package replay
