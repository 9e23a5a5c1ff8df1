// Package backoff waits: for ever longer times between tries, until a signal, or until a context
// ends.
package backoff
