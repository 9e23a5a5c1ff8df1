package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// claimEvents is the loop that claims.
func (e *engine) claimEvents() {
	var b protocol.Batch[dedupe.Request]
	timeout := newCallTimeout(e.o.Lease, e.o.Lease)
	for e.awaitWork(claimLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Claims(now)
		return !b.Empty()
	}) {
		cs, err := callStore(e, "Claim", timeout, b.Items, e.claimer.Claim)
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
	timeout := newCallTimeout(e.o.Lease/4, e.o.Lease)
	for e.awaitWork(settleLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Settlements(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Settle", timeout, b.Items, e.claimer.Settle)
		e.logRefusedItems("Settle", errs, func(i int) dedupe.Key { return b.Items[i].Claim.Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Settled(now, b, errs, err) })
	}
}

// renewLeases is the loop that renews the leases of claims.
func (e *engine) renewLeases() {
	var b protocol.Batch[dedupe.Claim]
	timeout := newCallTimeout(e.o.Lease/4, e.o.Lease)
	for e.awaitWork(renewLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Renewals(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Extend", timeout, b.Items, func(ctx context.Context, cs []dedupe.Claim) ([]error, error) {
			return e.claimer.Extend(ctx, cs, e.o.Lease, e.o.TTL)
		})
		e.logRefusedItems("Extend", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Renewed(now, b, errs, err) })
	}
}

// callStore makes one call of the store.
func callStore[I, A any](e *engine, name string, timeout *callTimeout, items []I,
	call func(context.Context, []I) ([]A, error),
) ([]A, error) {
	ctx, cancel := context.WithTimeout(e.calls, timeout.current)
	defer cancel()
	answers, err := call(ctx, items)
	if err == nil {
		err = seenmark.CheckParallel(name, len(answers), len(items))
	}
	if err != nil {
		answers = nil // of whose items?
	}
	timeout.adjustAfter(err)
	switch {
	case err == nil || e.calls.Err() != nil:
	case errors.Is(err, dedupe.ErrClosed):
		e.storeGone(err)
	default:
		e.o.Logger.Warn("the dedupe store did not answer: repeating the call", "call", name, "items", len(items), "error", err)
	}
	return answers, err
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
		what := "the dedupe store refused items of a call"
		if errors.Is(errs[first], dedupe.ErrFull) {
			what = "the dedupe store is full: new events wait until marks expire; raise its bound or shorten the TTL"
		}
		e.o.Logger.Warn(what, "call", call, "refused", refused, "items", len(errs),
			"key", key(first).String(), "error", errs[first])
	}
}

// callTimeout bounds calls. Those for claims that are held have a quarter of a lease at first: a
// call that hangs must not hold up the others for long, and must leave time to repeat it before the
// lease is over. It doubles with each failure, up to a lease, and is halved with each answer, so
// that a store that stays slow is still heard. Other calls always have a lease.
type callTimeout struct{ least, most, current time.Duration }

func newCallTimeout(least, most time.Duration) *callTimeout {
	return &callTimeout{least: least, most: most, current: least}
}

func (t *callTimeout) adjustAfter(err error) {
	if err == nil {
		t.current = max(t.least, t.current/2)
	} else {
		t.current = min(2*t.current, t.most)
	}
}

// lookUpRedeliveries is the loop that finds out what became of events that were nacked here and are
// overdue: another process has settled them, or the stream has dropped them.
func (e *engine) lookUpRedeliveries() {
	var b protocol.Batch[protocol.Lookup]
	timeout := newCallTimeout(e.o.Lease, e.o.Lease)
	for e.awaitWork(lookupLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Lookups(now)
		return !b.Empty()
	}) {
		there := e.existOnBus(b.Items)
		keys := make([]dedupe.Key, len(b.Items))
		for i := range b.Items {
			keys[i] = b.Items[i].Key
		}
		known, err := callStore(e, "Seen", timeout, keys, e.store.Seen)
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
