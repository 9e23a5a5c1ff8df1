package kv

import (
	"errors"
	"fmt"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/natsserver"
)

var (
	// ErrNoBucket is returned by New when the bucket does not exist and Options.BindOnly
	// forbids making it.
	ErrNoBucket = errors.New("key-value bucket does not exist")
	// ErrBucketUnfit is returned by New when a bucket exists whose settings would lose marks; the
	// text tells how to mend it.
	ErrBucketUnfit = errors.New("key-value bucket is unfit for dedupe")
	// ErrServerTooOld is returned by New when the server knows no per-message TTL: it
	// needs OldestServer.
	ErrServerTooOld = natsserver.ErrTooOld
	// ErrInvalidOptions is returned by New when a field of Options is out of bounds.
	ErrInvalidOptions = errors.New("invalid options of the key-value dedupe store")
	// ErrNoAnswer is returned when the server did not answer in time. What was asked may
	// have been done.
	ErrNoAnswer = errors.New("no answer from JetStream")
	// ErrDisconnected is returned when the connection was down, or went down before all answers
	// were in. It passes.
	ErrDisconnected = errors.New("NATS connection is down")
	// ErrClosed is returned when the Store, or the connection under it, was closed for good.
	ErrClosed = fmt.Errorf("key-value %w", dedupe.ErrClosed)
	// ErrClockUncertain is returned when the server's time is not known well enough to judge leases
	// by. It passes.
	ErrClockUncertain = errors.New("the server's time is uncertain")
	// ErrForeignValue is returned when a key of the store holds what the store did not write.
	ErrForeignValue = errors.New("foreign value in the dedupe bucket")
	// ErrContended is returned when others kept writing the same key in between, until the tries
	// were used up. It passes.
	ErrContended = errors.New("dedupe key is contended")
)
