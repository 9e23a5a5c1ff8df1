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
		ds, err := e.cursor.Source().Fetch(e.calls, events)
		as := e.arrivals(ds)
		e.step(func(m *protocol.Machine, now time.Time) { m.Fetched(now, as) })
		if err != nil {
			e.fetchFailed(err)
		}
	}
}

// fetchFailed ends the subscription, makes the group's cursor again, or waits a little.
func (e *engine) fetchFailed(err error) {
	switch {
	case e.calls.Err() != nil:
	case errors.Is(err, bus.ErrClosed):
		e.busGone(err)
		e.rest(e.tickEvery)
	case errors.Is(err, bus.ErrConsumerLost):
		e.o.Logger.Warn("the group's consumer was lost; making it again from the watermark", "error", err)
		e.rebuild()
	default:
		e.o.Logger.Warn("fetching failed: trying again", "error", err)
		e.rest(fetchRetry)
	}
}

const fetchRetry = time.Second

// rebuild makes the group's consumer again, for as long as it takes.
func (e *engine) rebuild() {
	for again := true; again; again = e.rest(fetchRetry) {
		err := e.cursor.Reopen(e.calls, e.stepCursor)
		switch {
		case err == nil:
			e.watchLoss()
			return
		case errors.Is(err, bus.ErrClosed):
			e.busGone(err)
			return
		}
		e.o.Logger.Error("the group's consumer could not be made; retrying", "topic", e.topic, "group", e.group, "error", err)
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
		errs := make([]error, len(cs))
		for i := range cs {
			errs[i] = cs[i].Err
		}
		e.logRefused("Claim", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.step(func(m *protocol.Machine, now time.Time) { m.Claimed(now, b, cs, err) })
	}
}

func (e *engine) settle() {
	var b protocol.Batch[dedupe.Settlement]
	patience := newPatience(e.o.Lease)
	for e.await(settleLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Settlements(now)
		return !b.Empty()
	}) {
		errs, err := ask(e, "Settle", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, patience.bound)
			defer cancel()
			return e.store.Settle(ctx, b.Items)
		})
		patience.answered(err)
		e.logRefused("Settle", errs, func(i int) dedupe.Key { return b.Items[i].Claim.Key })
		e.step(func(m *protocol.Machine, now time.Time) { m.Settled(now, b, errs, err) })
	}
}

func (e *engine) extend() {
	var b protocol.Batch[dedupe.Claim]
	patience := newPatience(e.o.Lease)
	for e.await(extendLoop, func(m *protocol.Machine, now time.Time) bool {
		b = m.Extensions(now)
		return !b.Empty()
	}) {
		errs, err := ask(e, "Extend", len(b.Items), func(ctx context.Context) ([]error, error) {
			ctx, cancel := context.WithTimeout(ctx, patience.bound)
			defer cancel()
			return e.store.Extend(ctx, b.Items, e.o.Lease, e.o.TTL)
		})
		patience.answered(err)
		e.logRefused("Extend", errs, func(i int) dedupe.Key { return b.Items[i].Key })
		e.step(func(m *protocol.Machine, now time.Time) { m.Extended(now, b, errs, err) })
	}
}

// patience bounds the calls for claims that are held. It is a quarter of a lease at first: a call
// that hangs must not hold up all others for long, and leaves time to repeat it before the lease is
// over. It doubles with each failure, up to a lease, and is halved with each answer, so that a
// store that is slow for good is still heard.
type patience struct{ least, most, bound time.Duration }

func newPatience(lease time.Duration) *patience {
	return &patience{least: lease / 4, most: lease, bound: lease / 4}
}

func (p *patience) answered(err error) {
	if err == nil {
		p.bound = max(p.least, p.bound/2)
		return
	}
	p.bound = min(2*p.bound, p.most)
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

// logRefused tells which items of a call the store did not take. Others of the call are
// not concerned.
func (e *engine) logRefused(call string, errs []error, key func(i int) dedupe.Key) {
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

// bury publishes dead letters.
func (e *engine) bury() {
	var ls []*protocol.Letter
	for e.await(letterLoop, func(m *protocol.Machine, now time.Time) bool {
		ls = m.Letters(now)
		return len(ls) > 0
	}) {
		errs := e.publishLetters(ls)
		e.step(func(m *protocol.Machine, now time.Time) {
			for i, l := range ls {
				m.Posted(now, l, errs[i])
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
			e.measureLetters(err)
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
		own, letters[i] = newLetter(l, e.group, e.now()).events(e.o.DeadLetter, e.letterRoom)
		for range own {
			partOf = append(partOf, i)
		}
		parts = append(parts, own...)
	}
	if len(parts) > 0 {
		receipts, _ := e.publish(parts)
		for n, r := range receipts {
			errs[partOf[n]] = errors.Join(errs[partOf[n]], r.Err)
		}
	}
	for i := range letters {
		if errs[i] == nil {
			ready, readyOf = append(ready, letters[i]), append(readyOf, i)
		}
	}
	receipts, _ := e.publish(ready)
	for n, r := range receipts {
		errs[readyOf[n]] = r.Err
	}
	return errs
}

// measureLetters asks again how large a letter may be, where one was too large: the limits of
// stream and server may have changed.
func (e *engine) measureLetters(failure error) {
	if !errors.Is(failure, bus.ErrTooLarge) {
		return
	}
	ctx, cancel := e.call()
	defer cancel()
	info, err := e.bus.Topic(ctx, e.o.DeadLetter, e.group, bus.Start{})
	if err != nil {
		e.o.Logger.Warn("the limits of the dead-letter topic could not be read", "topic", e.o.DeadLetter, "error", err)
		return
	}
	e.letterRoom = newLetterRoom(&info)
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
	var receiver receiverState
	for e.await(answerLoop, func(m *protocol.Machine, now time.Time) bool {
		as = m.Answers()
		receiver.read(m, now)
		e.telling = len(as) > 0
		return e.telling || receiver.change(e.o.Concurrency) != receiverUnchanged
	}) {
		e.reportReceiver(&receiver)
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
		e.o.Logger.Warn("handler failed; event will be retried", "key", a.Job.Key().String(),
			"attempt", a.Job.Attempt(), "after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Deferred:
		e.o.Logger.Debug("event deferred: no attempt is counted, and it will be retried", "key", a.Job.Key().String(),
			"after", a.After, "error", a.Job.Verdict().Error)
	case protocol.Lost:
		e.o.Logger.Warn("claim lost: the event is another claim's by now, its lease could not be renewed in time, or the store has forgotten it", "key", a.Job.Key().String(),
			"effect", effectOf(a.Job), "error", a.Job.Verdict().Error)
	case protocol.Unresolved:
		e.o.Logger.Error("nobody knows whether a transaction was committed; the event will be redelivered, and its mark decides",
			"key", a.Job.Key().String(), "error", a.Job.Verdict().Error)
	case protocol.Handled, protocol.Duplicate, protocol.Skipped, protocol.Snoozed, protocol.Dead, protocol.Unburied, protocol.Held,
		protocol.GivenBack, protocol.Working:
	}
}

// effectOf tells what a run whose claim was lost has done: what it made, the next owner may make
// again, under the same idempotency key.
func effectOf(j *protocol.Job) string {
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
