// Package tracecontext reads and writes the W3C trace context among the headers of events, whatever
// publishers have put there. It knows nothing of any tracing library.
package tracecontext
