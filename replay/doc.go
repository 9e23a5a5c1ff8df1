// Package replay reads again what is stored on a bus: it exports events to a file, one per line,
// and imports them.
//
// # Format
//
// A line is a CloudEvent in the JSON format (specversion 1.0) with the extension attributes topic,
// streamsequence and streamtime (where the event lay, and when it was stored there), partitionkey
// (Event.Key), and with headers, an object of lists of strings. Data is written as JSON or text
// where its content type says that it is, and where its bytes survive that; otherwise as
// data_base64.
//
// # Delivery semantics
//
// [Export] leaves out nothing in silence, as [bus.Reader]: what the stream dropped before it was
// read makes the export end with an error, after everything that is there was written. It returns
// the position after which a later export goes on, without a gap or a repeat.
//
// [Import] publishes each line at least once, confirmed, and keeps id, source, topic, key, type,
// time, content type, data and headers of each event; sequences and stored times are the new
// stream's. So an import that is repeated stores each event once for as long as the bus remembers
// message ids, and consumers recognise it as long as they keep marks. An event that could not be
// read as one when it was exported is imported as an event under the id of its position.
package replay
