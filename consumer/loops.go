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

func (e *engine) fetchEvents() {
	events := 0
	for e.awaitWork(fetchLoop, func(m *protocol.Machine, now time.Time) (ok bool) {
		events, ok = m.Fetch(now)
		return ok
	}) {
		ds, err := e.cursor.Source().Fetch(e.calls, events)
		as := e.toArrivals(ds)
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Fetched(now, as) })
		if err != nil {
			e.handleFetchError(err)
		}
	}
}

// handleFetchError ends the subscription, makes the group's cursor again, or waits a little.
func (e *engine) handleFetchError(err error) {
	switch {
	case e.calls.Err() != nil:
	case errors.Is(err, bus.ErrClosed):
		e.busGone(err)
		e.restUnlessDraining(e.tickEvery)
	case errors.Is(err, bus.ErrConsumerLost):
		e.o.Logger.Warn("the group's consumer was lost; making it again from the watermark", "error", err)
		e.rebuildCursor()
	default:
		e.o.Logger.Warn("fetching failed: trying again", "error", err)
		e.restUnlessDraining(fetchRetry)
	}
}

const fetchRetry = time.Second

// rebuildCursor makes the group's consumer again, for as long as it takes.
func (e *engine) rebuildCursor() {
	for again := true; again; again = e.restUnlessDraining(fetchRetry) {
		err := e.cursor.Reopen(e.calls, e.stepCursor)
		switch {
		case err == nil:
			e.logLostEvents()
			return
		case errors.Is(err, bus.ErrClosed):
			e.busGone(err)
			return
		}
		e.o.Logger.Error("the group's consumer could not be made; retrying", "topic", e.topic, "group", e.group, "error", err)
	}
}

// restUnlessDraining waits; it is false, and does not wait, once draining has begun.
func (e *engine) restUnlessDraining(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.drainBegun:
		return false
	}
}

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

func (e *engine) settleClaims() {
	var b protocol.Batch[dedupe.Settlement]
	patience := newCallTimeout(e.o.Lease)
	for e.awaitWork(settleLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Settlements(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Settle", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, patience.current)
			defer cancel()
			return e.claimer.Settle(ctx, b.Items)
		})
		patience.adjustAfter(err)
		e.logRefusedItems("Settle", errs, func(i int) dedupe.Key { return b.Items[i].Claim.Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Settled(now, b, errs, err) })
	}
}

func (e *engine) renewLeases() {
	var b protocol.Batch[dedupe.Claim]
	patience := newCallTimeout(e.o.Lease)
	for e.awaitWork(extendLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Extensions(now)
		return !b.Empty()
	}) {
		errs, err := callStore(e, "Extend", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, patience.current)
			defer cancel()
			return e.claimer.Extend(ctx, b.Items, e.o.Lease, e.o.TTL)
		})
		patience.adjustAfter(err)
		e.logRefusedItems("Extend", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.stepMachine(func(m *protocol.Machine, now time.Time) { m.Extended(now, b, errs, err) })
	}
}

// callTimeout bounds the calls for claims that are held. It is a quarter of a lease at first: a call
// that hangs must not hold up all others for long, and leaves time to repeat it before the lease is
// over. It doubles with each failure, up to a lease, and is halved with each answer, so that a
// store that is slow for good is still heard.
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

// callStore makes one call to the store.
func callStore[T any](e *engine, name string, items int, call func(context.Context) ([]T, error)) ([]T, error) {
	ctx, cancel := e.callContext()
	defer cancel()
	out, err := call(ctx)
	if err == nil {
		err = checkParallel(name, len(out), items)
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

// logRefusedItems tells which items of a call the store did not take. Others of the call are
// not concerned.
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

// storeLetters publishes dead letters.
func (e *engine) storeLetters() {
	var ls []*protocol.Letter
	for e.awaitWork(letterLoop, func(m *protocol.Machine, now time.Time) bool {
		ls = m.Letters(now)
		return len(ls) > 0
	}) {
		errs := e.publishLetters(ls)
		e.stepMachine(func(m *protocol.Machine, now time.Time) {
			for i, l := range ls {
				m.LetterPublished(now, l, errs[i])
			}
		})
		for i, l := range ls {
			if errs[i] == nil {
				e.o.Logger.Error("event dead-lettered", "key", l.Key.String(), "topic", e.o.DeadLetter, "reason", l.Reason)
			}
		}
		if err := errors.Join(errs...); err != nil {
			e.o.Logger.Error("dead letters could not be stored: their events come again for that",
				"topic", e.o.DeadLetter, "error", err)
			e.remeasureLetterRoom(err)
		}
	}
}

// publishLetters returns why each letter is not known to be stored. The parts of letters that have
// some are stored before.
func (e *engine) publishLetters(ls []*protocol.Letter) []error {
	errs := make([]error, len(ls))
	letters := make([]bus.Event, len(ls))
	var parts, ready []bus.Event
	var partOf, readyOf []int // indexes of their letters
	for i, l := range ls {
		var own []bus.Event
		own, letters[i] = newLetter(l, e.group, e.now()).toEvents(e.o.DeadLetter, e.letterRoom)
		for range own {
			partOf = append(partOf, i)
		}
		parts = append(parts, own...)
	}
	if len(parts) > 0 {
		receipts, _ := e.publishEvents(parts)
		for n, r := range receipts {
			errs[partOf[n]] = errors.Join(errs[partOf[n]], r.Err)
		}
	}
	for i := range letters {
		if errs[i] == nil {
			ready, readyOf = append(ready, letters[i]), append(readyOf, i)
		}
	}
	receipts, _ := e.publishEvents(ready)
	for n, r := range receipts {
		errs[readyOf[n]] = r.Err
	}
	return errs
}

// remeasureLetterRoom asks again how large a letter may be, where one was too large: the limits of
// stream and server may have changed.
func (e *engine) remeasureLetterRoom(failure error) {
	if !errors.Is(failure, bus.ErrTooLarge) {
		return
	}
	ctx, cancel := e.callContext()
	defer cancel()
	info, err := e.bus.Topic(ctx, e.o.DeadLetter, e.group, bus.Start{})
	if err != nil {
		e.o.Logger.Warn("the limits of the dead-letter topic could not be read", "topic", e.o.DeadLetter, "error", err)
		return
	}
	e.letterRoom = newLetterRoom(&info)
}

// publishEvents returns a receipt for each event, also from a bus that returned none.
func (e *engine) publishEvents(events []bus.Event) ([]bus.Receipt, error) {
	ctx, cancel := e.callContext()
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

// answerDeliveries tells the bus, the observer and the log how deliveries ended.
func (e *engine) answerDeliveries() {
	var as []protocol.Answer
	var receiver receiverState
	for e.awaitWork(answerLoop, func(m *protocol.Machine, now time.Time) bool {
		as = m.Answers()
		receiver.readMachine(m, now)
		e.answering = len(as) > 0
		return e.answering || receiver.changeSinceReport(e.o.Concurrency) != receiverUnchanged
	}) {
		e.logReceiverChange(&receiver)
		for i := range as {
			e.sendAnswer(&as[i])
		}
		e.stepMachine(func(*protocol.Machine, time.Time) { e.answering = false })
	}
}

func (e *engine) sendAnswer(a *protocol.Answer) {
	if a.Outcome != protocol.Working {
		if e.o.Observer != nil {
			e.o.Observer.Observe(newObservation(a))
		}
		e.logOutcome(a)
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

// logOutcome logs what somebody may want to know.
func (e *engine) logOutcome(a *protocol.Answer) {
	switch a.Outcome {
	case protocol.Failed:
		e.o.Logger.Warn("handler failed; event will be retried", "key", a.Job.Key().String(),
			"attempt", a.Job.Attempt(), "after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Deferred:
		e.o.Logger.Debug("event deferred: no attempt is counted, and it will be retried", "key", a.Job.Key().String(),
			"after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Lost:
		e.o.Logger.Warn("claim lost: the event is another claim's by now, its lease could not be renewed in time, or the store has forgotten it", "key", a.Job.Key().String(),
			"effect", effectOfLostRun(a.Job), "error", a.Job.Verdict().Error)
	case protocol.Unresolved:
		e.o.Logger.Error("nobody knows whether a transaction was committed; the event will be redelivered, and its mark decides",
			"key", a.Job.Key().String(), "error", a.Job.Verdict().Error)
	case protocol.Handled, protocol.Duplicate, protocol.Skipped, protocol.Snoozed, protocol.Dead, protocol.DeadLetterPending, protocol.Held,
		protocol.GivenBack, protocol.Working:
	}
}

// effectOfLostRun tells what a run whose claim was lost has done: what it made, the next owner may make
// again, under the same idempotency key.
func effectOfLostRun(j *protocol.Job) string {
	_, ran := j.Took()
	switch v := j.Verdict(); {
	case !ran:
		return "none: the handler did not run"
	case v.Kind == protocol.Success:
		return "made: the handler succeeded"
	case v.Kind == protocol.Superseded:
		return "none: the transaction was not committed"
	}
	return "unknown: the handler failed"
}
