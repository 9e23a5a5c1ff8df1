package nats

import (
	"errors"

	"github.com/onceish/onceish/internal/natsserver"
)

var (
	// ErrInvalidOptions is returned by New when a field of Options is out of bounds.
	ErrInvalidOptions = errors.New("invalid options of the NATS schema store")
	// ErrServerTooOld is returned by New when the server is older than 2.11.
	ErrServerTooOld = natsserver.ErrTooOld
	// ErrNoBucket is returned when the bucket does not exist, and is not made.
	ErrNoBucket = errors.New("no key-value bucket for schemas")
	// ErrBucketUnfit is returned by New when the bucket exists with settings that break promises;
	// the text says how to change them.
	ErrBucketUnfit = errors.New("key-value bucket is unfit for schemas")
	// ErrNoAnswer is returned when the server did not answer in time. What was asked may have
	// been done.
	ErrNoAnswer = errors.New("no answer from JetStream")
	// ErrDisconnected is returned when the connection is down. It passes.
	ErrDisconnected = errors.New("NATS connection is down")
)
