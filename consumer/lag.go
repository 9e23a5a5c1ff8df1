package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
)

// Lag is how many events of a topic a group has not handled.
type Lag struct {
	// Pending is the number of events that were delivered to no process of the group yet.
	Pending uint64
	// Unsettled is the number of events that were delivered and are not acked: they run, or wait
	// for their retry.
	Unsettled uint64
	// PausedFor is for how much longer the bus itself delivers nothing to the group, because
	// somebody paused it there. Zero: it is not paused.
	PausedFor time.Duration
}

// Lag asks the bus for the group's lag. It does not retry.
func (s *Subscription) Lag(ctx context.Context) (Lag, error) {
	info, err := s.engine.cursor.Source().Info(ctx)
	if err != nil {
		return Lag{}, err
	}
	return Lag{Pending: info.Pending, Unsettled: info.Unsettled, PausedFor: info.PausedFor}, nil
}

// Behind asks the bus how old the oldest event is that the group has not settled. Zero: there is
// none. It blocks for two round trips and does not retry. A bus that is no bus.NextFinder, or may
// not look at single events, is errors.ErrUnsupported.
func (s *Subscription) Behind(ctx context.Context) (time.Duration, error) {
	e := s.engine
	finder, ok := e.bus.(bus.NextFinder)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	info, err := e.cursor.Source().Info(ctx)
	if err != nil || info.Pending+info.Unsettled == 0 {
		return 0, err
	}
	oldest, err := finder.FindNext(ctx, e.topic, bus.Position{Stream: info.Stream, Sequence: info.Floor})
	if err != nil || oldest.Sequence == 0 {
		return 0, err // or it was dropped meanwhile
	}
	now := info.Now
	if now.IsZero() {
		now = time.Now()
	}
	return max(time.Millisecond, now.Sub(oldest.Stored)), nil
}
