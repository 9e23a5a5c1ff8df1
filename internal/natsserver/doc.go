// Package natsserver knows which NATS servers and which connections to them are fit for Onceish.
package natsserver
