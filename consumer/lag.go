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

// Lag asks the bus for the group's lag: with the orders Exclusive and Partitions, for that of the
// partitions that this process owns, summed up. It does not retry.
func (s *Subscription) Lag(ctx context.Context) (Lag, error) {
	var sum Lag
	for _, e := range s.engines.list() {
		info, err := e.cursor.Source().Info(ctx)
		if err != nil {
			return Lag{}, err
		}
		sum.Pending += info.Pending
		sum.Unsettled += info.Unsettled
		sum.PausedFor = max(sum.PausedFor, info.PausedFor)
	}
	return sum, nil
}

// Behind asks the bus how old the oldest event is that the group has not settled: with the orders
// Exclusive and Partitions, the oldest in the partitions that this process owns. Zero: there is
// none. It blocks for two round trips, for each partition, and does not retry. A bus that is no
// bus.NextFinder, or may not look at single events, is errors.ErrUnsupported.
func (s *Subscription) Behind(ctx context.Context) (time.Duration, error) {
	finder, ok := s.bus.(bus.NextFinder)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	oldest := time.Duration(0)
	for _, e := range s.engines.list() {
		behind, err := e.behind(ctx, finder)
		if err != nil {
			return 0, err
		}
		oldest = max(oldest, behind)
	}
	return oldest, nil
}

func (e *engine) behind(ctx context.Context, finder bus.NextFinder) (time.Duration, error) {
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
