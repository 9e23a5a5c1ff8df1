// Package natstest runs NATS servers with JetStream inside a test, and breaks them.
package natstest
