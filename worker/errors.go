package worker

import (
	"errors"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
)

// ErrUsage is returned when what was asked for makes no sense: exit status 2.
var ErrUsage = commandline.ErrUsage

// ExitStatus is what a process exits with: 0 done or drained, 1 failed, 2 wrong usage, 3 drain incomplete.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	case errors.Is(err, consumer.ErrDrainIncomplete), errors.Is(err, outbox.ErrDrainIncomplete):
		return 3
	}
	return 1
}
