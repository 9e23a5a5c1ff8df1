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
// none. It blocks for several round trips, and retries as bus.Reader does. A bus that is no
// bus.Reader, or may not read, is errors.ErrUnsupported.
func (s *Subscription) Behind(ctx context.Context) (time.Duration, error) {
	e := s.engine
	reader, ok := e.bus.(bus.Reader)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	info, err := e.cursor.Source().Info(ctx)
	if err != nil || info.Pending+info.Unsettled == 0 {
		return 0, err
	}
	from, err := e.behindFloor(ctx, &info)
	if err != nil {
		return 0, err
	}
	for stored, err := range reader.Read(ctx, e.topic, bus.Range{From: from, HeadersOnly: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return 0, err
		}
		now := info.Now
		if now.IsZero() {
			now = time.Now()
		}
		return max(time.Millisecond, now.Sub(stored.At.Stored)), nil
	}
	return 0, nil // it was dropped meanwhile
}

// behindFloor is where the first event lies that is not settled.
func (e *engine) behindFloor(ctx context.Context, info *bus.Info) (bus.From, error) {
	if info.Floor == 0 {
		return bus.From{}, nil
	}
	at := bus.Position{Stream: info.Stream, Sequence: info.Floor}
	finder, ok := e.bus.(bus.Finder)
	if !ok {
		return bus.From{}, errors.ErrUnsupported
	}
	stored, err := finder.Find(ctx, []bus.Position{at})
	if err != nil {
		return bus.From{}, err
	}
	at.Stored = stored[0]
	return bus.From{After: at}, nil
}
