// Package natsrequest sends requests to a NATS server without waiting for the answer of one before
// the next goes out.
package natsrequest
