package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// claimEvents is the loop that claims.
func (e *engine) claimEvents() {
	var b protocol.Batch[dedupe.Request]
	for e.awaitWork(claimLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Claims(now)
		return !b.Empty()
	}) {
		cs, err := callStore(e, "Claim", len(b.Items), func(ctx context.Context) ([]dedupe.Claim, error) {
			return e.claimer.Claim(ctx, b.Items)
		})
		errs := make([]error, len(cs))
		for i := range cs {
			errs[i] = cs[i].Err
		}
		e.logRefusedItems("Claim", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Claimed(now, b, cs, err) })
	}
}

// settleClaims is the loop that marks what is done, and gives back what is not.
func (e *engine) settleClaims() {
	var b protocol.Batch[dedupe.Settlement]
	timeout := newCallTimeout(e.o.Lease)
	for e.awaitWork(settleLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Settlements(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Settle", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout.current)
			defer cancel()
			return e.claimer.Settle(ctx, b.Items)
		})
		timeout.adjustAfter(err)
		e.logRefusedItems("Settle", errs, func(i int) dedupe.Key { return b.Items[i].Claim.Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Settled(now, b, errs, err) })
	}
}

// renewLeases is the loop that renews the leases of claims.
func (e *engine) renewLeases() {
	var b protocol.Batch[dedupe.Claim]
	timeout := newCallTimeout(e.o.Lease)
	for e.awaitWork(extendLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Extensions(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Extend", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout.current)
			defer cancel()
			return e.claimer.Extend(ctx, b.Items, e.o.Lease, e.o.TTL)
		})
		timeout.adjustAfter(err)
		e.logRefusedItems("Extend", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Extended(now, b, errs, err) })
	}
}

// callStore makes one call of the store.
func callStore[T any](e *engine, name string, items int, call func(context.Context) ([]T, error)) ([]T, error) {
	ctx, cancel := e.callContext()
	defer cancel()
	out, err := call(ctx)
	if err == nil {
		err = checkParallel(name, len(out), items)
	}
	if err != nil {
		out = nil // of whose items?
	}
	switch {
	case err == nil || e.calls.Err() != nil:
	case errors.Is(err, dedupe.ErrClosed):
		e.storeGone(err)
	default:
		e.o.Logger.Warn("the dedupe store did not answer: repeating the call", "call", name, "items", items, "error", err)
	}
	return out, err
}

// checkParallel checks that a store has answered every item.
func checkParallel(call string, got, want int) error {
	if got != want {
		return fmt.Errorf("the store answered %d of %d items of %s: its results must be parallel to the argument", got, want, call)
	}
	return nil
}

// logRefusedItems logs the items of a call that the store did not take.
func (e *engine) logRefusedItems(call string, errs []error, key func(i int) dedupe.Key) {
	refused, first := 0, 0
	for i, err := range errs {
		if err == nil || errors.Is(err, dedupe.ErrSuperseded) {
			continue
		}
		if refused == 0 {
			first = i
		}
		refused++
	}
	if refused > 0 {
		e.o.Logger.Warn("the dedupe store refused items of a call", "call", call, "refused", refused, "items", len(errs),
			"key", key(first).String(), "error", errs[first])
	}
}

// callTimeout bounds the calls for claims that are held. It is a quarter of a lease at first: a
// call that hangs must not hold up the others for long, and must leave time to repeat it before the
// lease is over. It doubles with each failure, up to a lease, and is halved with each answer, so
// that a store that stays slow is still heard.
type callTimeout struct{ least, most, current time.Duration }

func newCallTimeout(lease time.Duration) *callTimeout {
	return &callTimeout{least: lease / 4, most: lease, current: lease / 4}
}

func (p *callTimeout) adjustAfter(err error) {
	if err == nil {
		p.current = max(p.least, p.current/2)
		return
	}
	p.current = min(2*p.current, p.most)
}

// lookUpRedeliveries is the loop that finds out what became of events that were nacked here and are
// overdue: another process has settled them, or the stream has dropped them.
func (e *engine) lookUpRedeliveries() {
	var b protocol.Batch[protocol.Lookup]
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
