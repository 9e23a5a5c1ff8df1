package nats

import (
	"errors"
	"fmt"

	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/natsserver"
)

var (
	// ErrInvalidOptions is returned by New when a field of Options is out of bounds.
	ErrInvalidOptions = errors.New("invalid options of the NATS group store")
	// ErrServerTooOld is returned by New when the server is older than 2.11.
	ErrServerTooOld = natsserver.ErrTooOld
	// ErrNoBucket is returned when a bucket does not exist and Options.BindOnly forbids making it.
	// It is group.ErrNoStore.
	ErrNoBucket = fmt.Errorf("%w: no key-value bucket", group.ErrNoStore)
	// ErrBucketUnfit is returned when a bucket exists whose settings break promises; the text says
	// how to change them.
	ErrBucketUnfit = errors.New("key-value bucket is unfit for groups")
	// ErrNoAnswer is returned when the server did not answer in time. What was asked may have
	// been done.
	ErrNoAnswer = errors.New("no answer from JetStream")
	// ErrDisconnected is returned when the connection is down. It passes.
	ErrDisconnected = errors.New("NATS connection is down")
)
