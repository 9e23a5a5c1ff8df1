// Package traceexport sends the spans of a process by OTLP over HTTP, where the standard
// environment variables of OpenTelemetry say so. The command "worker run" uses it. A program that
// has a TracerProvider needs package telemetry alone.
//
// # What it promises
//
// A receiver that fails or hangs holds up neither events nor the end of the process: spans wait in
// a queue of a fixed size, and are dropped when it is full or time is up. It is logged once when
// spans are not taken, and once when they are again.
package traceexport
