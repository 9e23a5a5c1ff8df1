// Package log has a handler that logs events.
//
// [Handler] writes one record for each event: topic, id, source, type, key, content_type, bytes,
// attempt, and event_time if that is known; with Options.Data the first 1 KiB of the data as
// well, in data, or in data_base64 if it is not UTF-8.
package log
