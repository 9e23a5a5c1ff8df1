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

func (e *engine) fetch() {
	events := 0
	for e.await(fetchLoop, func(m *protocol.Machine, now time.Time) (ok bool) {
		events, ok = m.Fetch(now)
		return ok
	}) {
		ds, err := e.cursor.fetch(e.calls, events)
		as := e.arrivals(ds)
		e.step(func(m *protocol.Machine, now time.Time) { m.Fetched(now, as) })
		if err != nil {
			e.fetchFailed(err)
		}
	}
}

// fetchFailed ends the subscription, makes the group's cursor anew, or waits a little.
func (e *engine) fetchFailed(err error) {
	switch {
	case e.calls.Err() != nil:
	case errors.Is(err, bus.ErrClosed):
		e.busGone(err)
		e.rest(e.tickEvery)
	case errors.Is(err, bus.ErrConsumerLost):
		e.o.Logger.Warn("the group's consumer was lost: making it anew from the watermark", "error", err)
		e.rebuild()
	default:
		e.o.Logger.Warn("fetching failed: trying again", "error", err)
		e.rest(fetchRetry)
	}
}

const fetchRetry = time.Second

// rebuild makes the cursor anew, for as long as it takes.
func (e *engine) rebuild() {
	for again := true; again; again = e.rest(fetchRetry) {
		at, err := e.cursor.open(e.calls)
		switch {
		case err == nil:
			e.step(func(m *protocol.Machine, _ time.Time) { m.SetWatermark(at) })
			return
		case errors.Is(err, bus.ErrClosed):
			e.busGone(err)
			return
		}
		e.o.Logger.Warn("the group's consumer could not be made: trying again", "error", err)
	}
}

// rest waits; it is false, and does not wait, once draining has begun.
func (e *engine) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.leaving:
		return false
	}
}

func (e *engine) claim() {
	var b protocol.Batch[dedupe.Request]
	for e.await(claimLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Claims(now)
		return !b.Empty()
	}) {
		cs, err := ask(e, "Claim", len(b.Items), func(ctx context.Context) ([]dedupe.Claim, error) {
			return e.store.Claim(ctx, b.Items)
		})
		e.step(func(m *protocol.Machine, now time.Time) { m.Claimed(now, b, cs, err) })
	}
}

func (e *engine) settle() {
	var b protocol.Batch[dedupe.Settlement]
	for e.await(settleLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Settlements(now)
		return !b.Empty()
	}) {
		oks, err := ask(e, "Settle", len(b.Items), func(ctx context.Context) ([]bool, error) {
			return e.store.Settle(ctx, b.Items)
		})
		e.step(func(m *protocol.Machine, now time.Time) { m.Settled(now, b, oks, err) })
	}
}

func (e *engine) extend() {
	var b protocol.Batch[dedupe.Claim]
	for e.await(extendLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Extensions(now)
		return !b.Empty()
	}) {
		oks, err := ask(e, "Extend", len(b.Items), func(ctx context.Context) ([]bool, error) {
			ctx, cancel := context.WithTimeout(ctx, e.o.Lease/4) // so that it can be repeated before the lease is over
			defer cancel()
			return e.store.Extend(ctx, b.Items, e.o.Lease, e.o.TTL)
		})
		e.step(func(m *protocol.Machine, now time.Time) { m.Extended(now, b, oks, err) })
	}
}

// ask makes one call to the store.
func ask[T any](e *engine, name string, items int, call func(context.Context) ([]T, error)) ([]T, error) {
	ctx, cancel := e.call()
	defer cancel()
	out, err := call(ctx)
	if err == nil {
		err = parallel(name, len(out), items)
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

// bury publishes dead letters.
func (e *engine) bury() {
	var ls []*protocol.Letter
	for e.await(letterLoop, func(m *protocol.Machine, now time.Time) bool {
		ls = m.Letters(now)
		return len(ls) > 0
	}) {
		events := make([]bus.Event, len(ls))
		for i, l := range ls {
			events[i] = newLetter(l, e.group, e.now()).event(e.o.DeadLetter, e.letterBytes)
		}
		receipts, err := e.publish(events)
		e.step(func(m *protocol.Machine, now time.Time) {
			for i, l := range ls {
				m.Posted(now, l, receipts[i].Err)
			}
		})
		e.reportLetters(ls, receipts)
		if err != nil {
			e.o.Logger.Error("dead letters could not be stored: their events come again for that",
				"topic", e.o.DeadLetter, "error", err)
		}
	}
}

// reportLetters logs which events were given up, and why.
func (e *engine) reportLetters(ls []*protocol.Letter, receipts []bus.Receipt) {
	for i, l := range ls {
		if receipts[i].Err == nil {
			e.o.Logger.Error("event dead-lettered", "key", l.Key.String(), "topic", e.o.DeadLetter, "reason", l.Reason)
		}
	}
}

// publish returns a receipt for each event, also from a bus that returned none.
func (e *engine) publish(events []bus.Event) ([]bus.Receipt, error) {
	ctx, cancel := e.call()
	defer cancel()
	receipts, err := e.bus.Publish(ctx, events...)
	if len(receipts) == len(events) {
		return receipts, err
	}
	err = errors.Join(err, fmt.Errorf("the bus answered %d of %d events", len(receipts), len(events)))
	receipts = make([]bus.Receipt, len(events))
	for i := range receipts {
		receipts[i].Err = err
	}
	return receipts, err
}

// answer tells the bus, the observer and the log how deliveries ended.
func (e *engine) answer() {
	var as []protocol.Answer
	for e.await(answerLoop, func(m *protocol.Machine, _ time.Time) bool {
		as = m.Answers()
		e.telling = len(as) > 0
		return e.telling
	}) {
		for i := range as {
			e.tell(&as[i])
		}
		e.step(func(*protocol.Machine, time.Time) { e.telling = false })
	}
}

func (e *engine) tell(a *protocol.Answer) {
	if a.Outcome != protocol.Working {
		if e.o.Observer != nil {
			e.o.Observer.Observe(observation(a))
		}
		e.report(a)
	}
	var err error
	switch a.Kind {
	case protocol.Ack:
		err = a.Delivery.Ack(e.calls)
	case protocol.Nak:
		err = a.Delivery.Nak(e.calls, a.After)
	case protocol.Progress:
		err = a.Delivery.Extend(e.calls)
	case protocol.None:
	}
	if err != nil {
		e.o.Logger.Debug("an answer was not sent: the bus delivers again", "at", a.Delivery.At.Sequence, "error", err)
	}
}

// report logs what somebody may want to know.
func (e *engine) report(a *protocol.Answer) {
	switch a.Outcome {
	case protocol.Failed:
		e.o.Logger.Warn("handler failed: the event comes again", "key", a.Job.Key().String(),
			"attempt", a.Job.Attempt(), "after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Lost:
		e.o.Logger.Warn("claim lost: the event is another claim's by now, or the store has forgotten this one", "key", a.Job.Key().String())
	case protocol.Unresolved:
		e.o.Logger.Error("nobody knows whether a transaction was committed: the event comes again, and its mark tells",
			"key", a.Job.Key().String(), "error", a.Job.Verdict().Error)
	case protocol.Handled, protocol.Duplicate, protocol.Skipped, protocol.Snoozed, protocol.Dead, protocol.Unburied, protocol.Held,
		protocol.GivenBack, protocol.Working:
	}
}
