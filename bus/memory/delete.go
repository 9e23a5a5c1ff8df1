package memory

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
)

var _ bus.Deleter = (*Bus)(nil)

// DeleteEvents implements bus.Deleter. It never waits, and looks at every event.
func (b *Bus) DeleteEvents(ctx context.Context, at []bus.Position) []error {
	errs := make([]error, len(at))
	for i, p := range at {
		errs[i] = b.deleteAt(ctx, p)
	}
	return errs
}

func (b *Bus) deleteAt(ctx context.Context, at bus.Position) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s, err := b.streamAt(at)
	if err != nil {
		return err
	}
	s.withLock(func(int64) {
		switch {
		case !s.log.hasEvent(at.Sequence):
		case s.log.entryAt(at.Sequence).stored != at.Stored.UnixNano():
			err = fmt.Errorf("memory: %w: sequence %d of stream %q has another event", bus.ErrStreamReplaced, at.Sequence, s.config.Name)
		default:
			s.deleteEvent(at.Sequence)
		}
	})
	return err
}
