package worker

import (
	"errors"

	"github.com/onceish/onceish/consumer"
)

var (
	// ErrUsage is returned when what was asked for makes no sense: exit status 2.
	ErrUsage = errors.New("wrong usage")
	// ErrNotStored is returned by PublishLines when lines are not on the bus, or not known to be.
	ErrNotStored = errors.New("not all lines were stored")
	// ErrUnsupported is returned where commands cannot be run: elsewhere than on Linux.
	ErrUnsupported = errors.New("commands are run on Linux only, where they end with their worker")
)

// ExitStatus is what a process exits with: 0 done or drained, 1 failed, 2 wrong usage, 3 drain incomplete.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	case errors.Is(err, consumer.ErrDrainIncomplete):
		return 3
	}
	return 1
}
