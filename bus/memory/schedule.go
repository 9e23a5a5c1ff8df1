package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
)

var _ bus.Scheduler = (*Bus)(nil)

// scheduledEvent waits for its time.
type scheduledEvent struct {
	event bus.Event
	due   int64
}

func (s *scheduledEvent) is(topic, identity string) bool {
	return s.event.Topic == topic && s.event.Identity() == identity
}

// Schedule implements bus.Scheduler. It never waits. With a clock of the bus's own an event is
// published by the first call on its stream after it is due. A stream that would drop the event
// before, on JetStream, is errors.ErrUnsupported.
func (b *Bus) Schedule(ctx context.Context, t time.Time, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	errs := make([]error, len(events))
	for i := range events {
		errs[i] = b.scheduleOne(ctx, t, events[i])
		receipts[i].Err = errs[i]
	}
	return receipts, errors.Join(errs...)
}

func (b *Bus) scheduleOne(ctx context.Context, t time.Time, e bus.Event) error {
	s, e, err := b.prepareEvent(ctx, e)
	if err != nil {
		return err
	}
	e = normalizeEvent(e)
	s.withLock(func(now int64) {
		if err = bus.CheckDue(t, time.Unix(0, now)); err != nil {
			err = fmt.Errorf("memory: schedule event %.64q: %w", e.ID, err)
			return
		}
		if age := s.config.MaxAge; age > 0 && t.Sub(time.Unix(0, now)) >= age {
			err = fmt.Errorf("memory: schedule event %.64q: %w: stream %q keeps nothing for longer than %v", e.ID, errors.ErrUnsupported, s.config.Name, age)
			return
		}
		s.takeScheduled(e.Topic, e.Identity())
		s.schedules = append(s.schedules, &scheduledEvent{e, t.UnixNano()})
		slices.SortStableFunc(s.schedules, func(a, b *scheduledEvent) int { return cmp.Compare(a.due, b.due) })
		s.publishDue(now)
	})
	return err
}

// takeScheduled removes an event that waits, and reports whether there was one.
func (s *memoryStream) takeScheduled(topic, identity string) bool {
	n := len(s.schedules)
	s.schedules = slices.DeleteFunc(s.schedules, func(x *scheduledEvent) bool { return x.is(topic, identity) })
	return len(s.schedules) < n
}

// publishDue stores what is due, and has the timer do it with what is due next.
func (s *memoryStream) publishDue(now int64) {
	for len(s.schedules) > 0 && s.schedules[0].due <= now {
		s.appendEvent(s.schedules[0].event, now)
		s.schedules = slices.Delete(s.schedules, 0, 1)
		if s.config.MaxEvents > 0 && s.log.live > s.config.MaxEvents {
			s.deleteEvent(s.log.first)
		}
	}
	switch {
	case len(s.schedules) == 0 || !s.real:
	case s.dueTimer == nil:
		s.dueTimer = time.AfterFunc(time.Duration(s.schedules[0].due-now), func() { s.withLock(func(int64) {}) })
	default:
		s.dueTimer.Reset(time.Duration(s.schedules[0].due - now))
	}
}

// Scheduled implements bus.Scheduler. It never waits. The events are those due first.
func (b *Bus) Scheduled(ctx context.Context, pattern string, limit int) (out []bus.ScheduledEvent, err error) {
	s, err := b.findSubscribed(ctx, pattern, "", bus.Start{})
	if err != nil {
		return nil, err
	}
	s.withLock(func(int64) {
		for _, x := range s.schedules {
			if len(out) < limit && bus.Match(bus.FilterOf(pattern), bus.SubjectOf(x.event.Topic)) {
				out = append(out, bus.ScheduledEvent{Event: x.event, Due: time.Unix(0, x.due).UTC()})
			}
		}
	})
	return out, nil
}

// CancelScheduled implements bus.Scheduler. It never waits.
func (b *Bus) CancelScheduled(ctx context.Context, topic, identity string) error {
	s, err := b.findSubscribed(ctx, topic, "", bus.Start{})
	if err != nil {
		return err
	}
	taken := false
	s.withLock(func(int64) { taken = s.takeScheduled(topic, identity) })
	if !taken {
		return fmt.Errorf("memory: event %.64q of topic %q: %w", identity, topic, bus.ErrNotScheduled)
	}
	return nil
}
