package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// lookUpRedeliveries is the loop that finds out what became of events that were nacked here and are
// overdue: another process has settled them, or the stream has dropped them.
func (e *engine) lookUpRedeliveries() {
	var b protocol.Lookups
	for e.awaitWork(lookupLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Lookups(now)
		return !b.Empty()
	}) {
		there := e.existOnBus(b.Items)
		known, err := callStore(e, "Seen", len(b.Items), func(ctx context.Context) ([]dedupe.Record, error) {
			keys := make([]dedupe.Key, len(b.Items))
			for i := range b.Items {
				keys[i] = b.Items[i].Key
			}
			return e.store.Seen(ctx, keys)
		})
		var gone []protocol.Gone
		e.stepMachine(func(m *protocol.Machine, now time.Time) { gone = m.LookedUp(now, b, known, there, err) })
		e.logGone(gone)
	}
}

// existOnBus returns which of the overdue events the bus still has, or nil if it cannot tell.
func (e *engine) existOnBus(ls []protocol.Lookup) []bool {
	f, ok := e.bus.(bus.Finder)
	if !ok {
		return nil
	}
	var at []bus.Position
	for i := range ls {
		if ls[i].Overdue {
			at = append(at, ls[i].At)
		}
	}
	if len(at) == 0 {
		return nil
	}
	ctx, cancel := e.callContext()
	defer cancel()
	overdue, err := bus.Exists(ctx, f, at)
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) && e.calls.Err() == nil {
			e.o.Logger.Debug("could not look up events that are overdue; will retry", "events", len(at), "error", err)
		}
		return nil
	}
	there := make([]bool, len(ls))
	for i := range ls {
		if ls[i].Overdue {
			there[i], overdue = overdue[0], overdue[1:]
		}
	}
	return there
}

// logGone logs the events that the stream has dropped before they were handled.
func (e *engine) logGone(gone []protocol.Gone) {
	for _, g := range gone {
		follows := "its data is gone too"
		if g.Kept {
			follows = "it is dead-lettered from memory"
		}
		e.o.Logger.Error("an event that waited to be delivered again is lost on the bus; "+follows,
			"key", g.Key.String(), "sequence", g.At.Sequence, "stored", g.At.Stored, "topic", e.topic, "group", e.group)
	}
}
