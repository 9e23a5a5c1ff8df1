package worker

import (
	"errors"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/outbox"
)

// ErrUsage is returned when what was asked for makes no sense: exit status 2.
var ErrUsage = commandline.ErrUsage

// ErrUndone is returned by a worker that ran until all was empty (Options.UntilEmpty) when not all
// was done: events were given up meanwhile, or wait for streams that are not there. Exit status 4.
var ErrUndone = errors.New("not all events are done")

// ErrNoConsumer is returned by RemoveGroup, GroupMarks and ReplayTarget of Connections for a group
// that has no consumer on the bus.
var ErrNoConsumer = errors.New("the group is not on the bus")

// ErrNoOutbox is returned by OpenOutbox and Connections.OutboxAdmin where there is no outbox.
var ErrNoOutbox = errors.New("there is no outbox")

// ErrNoGroup is returned by Connections.PauseGroup and ResumeGroup when nothing consumes as the
// group, or nothing of it is subscribed to the topic.
var ErrNoGroup = errors.New("there is no such group or topic")

// ExitStatus is what a process exits with: 0 done or drained, 1 failed, 2 wrong usage, 3 drain
// incomplete, 4 empty, and not all done.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	case errors.Is(err, consumer.ErrDrainIncomplete), errors.Is(err, outbox.ErrDrainIncomplete):
		return 3
	case errors.Is(err, ErrUndone):
		return 4
	}
	return 1
}
