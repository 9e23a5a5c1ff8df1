package outbox

import (
	"errors"

	"github.com/onceish/onceish/bus"
)

// verdict is what a receipt says of its row.
type verdict uint8

const (
	stored   verdict = iota
	hopeless         // it can never be published
	refused          // by the bus, for what it is
	noStream         // its topic has none, or one that stores nothing now
	unknown          // the bus did not answer
)

func judge(err error) verdict {
	switch {
	case err == nil:
		return stored
	case errors.Is(err, bus.ErrTooLarge), errors.Is(err, bus.ErrInvalidEvent):
		return hopeless
	case errors.Is(err, bus.ErrRefused):
		return refused
	case errors.Is(err, bus.ErrNoStream), errors.Is(err, bus.ErrUnavailable):
		return noStream
	}
	return unknown
}
