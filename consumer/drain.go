package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// drainInOrder ends everything that is in flight. All of it has one deadline, counted from the
// beginning: Options.Drain for the handlers, then timeAfterDrain for the rest, whatever hangs.
func (e *engine) drainInOrder() error {
	cutAt := time.Now().Add(e.o.Drain)
	if !e.owns() {
		cutAt = time.Now() // they are cancelled at once
	}
	end := cutAt.Add(e.timeAfterDrain())
	if e.ownedUntil != nil {
		e.stopFetch() // what is still on its way is the next owner's, who rewinds the cursor
	}
	close(e.drainBegun)
	e.finishInFlight(cutAt, end)
	e.closeCursor(end)
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.endedBy, e.incompleteDrain())
}

// finishInFlight waits until nothing is in flight any more, or nothing more can be done about it.
func (e *engine) finishInFlight(cutAt, end time.Time) {
	e.mu.Lock()
	drained, futile := e.drained, e.drainHopeless
	e.draining = true
	e.mu.Unlock()
	e.stepMachine(func(m *protocol.Machine, now time.Time) {
		m.Drain(now)
		e.noticeLoss(m, now)
		if e.storeClosed {
			m.CancelRuns(dedupe.ErrClosed)
		}
	})
	timer := time.NewTimer(time.Until(cutAt))
	defer timer.Stop()
	select {
	case <-drained:
	case <-futile:
		waitUntil(drained, time.Now().Add(goneGrace))
	case <-timer.C:
		e.o.Logger.Warn("draining takes too long; cancelling what still runs", "after", e.o.Drain)
		e.stepMachine(func(m *protocol.Machine, _ time.Time) { m.CancelRuns(ErrDrainTimeout) })
		waitUntil(drained, end.Add(-e.timeAfterDrain()/4))
	}
}

// closeCursor stores the watermark and sends the answers that are left, by the end of the drain at
// the latest.
func (e *engine) closeCursor(end time.Time) {
	ctx, cancel := context.WithTimeout(e.calls, min(time.Until(end), e.timeAfterDrain()))
	defer cancel()
	if e.lost.Load() {
		_ = e.cursor.Source().Close(ctx) // there is nothing to say to the bus
		return
	}
	if err := e.cursor.Advance(ctx, e.stepForCursor); err != nil {
		e.o.Logger.Debug("the watermark was not advanced", "error", err)
	}
	if err := e.cursor.Source().Close(ctx); err != nil {
		e.o.Logger.Warn("answers may be lost; their events will be redelivered", "error", err)
	}
}

// closeSource closes the cursor of an engine that never started.
func (e *engine) closeSource() {
	ctx, cancel := context.WithTimeout(e.values, e.timeAfterDrain())
	defer cancel()
	_ = e.cursor.Source().Close(ctx) // there are no answers
}

// goneGrace is how long what a closed store or bus leaves possible may take: the other one
// still answers.
const goneGrace = time.Second

// drainMargin is what a drain takes beyond Options.Drain at most: three quarters of it for
// cancelled handlers, marks and answers, the rest for the watermark and the last answers.
const drainMargin = 4 * time.Second

// timeAfterDrain is how long everything after the drain time-out may take.
func (e *engine) timeAfterDrain() time.Duration { return min(e.o.Drain, drainMargin) }

func waitUntil(c <-chan struct{}, end time.Time) {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	}
}

// incompleteDrain is an error if the drain could not finish everything.
func (e *engine) incompleteDrain() error {
	s := e.machine.Stats()
	if s.InFlight == 0 {
		return nil
	}
	unmarked := e.machine.Unmarked()
	return fmt.Errorf("%w: %d events are left in flight: %d handlers did not return, %d succeeded and could not be marked (they will run again)",
		ErrDrainIncomplete, s.InFlight, s.Running+uint64(e.machine.Stuck()), unmarked)
}

// endWith ends the subscription because the bus or the store was closed for good, which it notes:
// waiting for an answer would only hold the process up. It reports whether that is news.
func (e *engine) endWith(err error, isClosed *bool) (isNew bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	isNew, *isClosed = !*isClosed, true
	e.endedBy = cmp.Or(e.endedBy, err)
	e.stop()
	return isNew
}

// storeGone ends the subscription because the store was closed for good, and its runs, for nothing
// that they do can be marked.
func (e *engine) storeGone(err error) {
	if e.endWith(err, &e.storeClosed) {
		e.o.Logger.Error("the dedupe store was closed for good: ending the subscription", "error", err)
		e.stepMachine(func(m *protocol.Machine, _ time.Time) { m.CancelRuns(err) })
	}
}

// drainIsHopeless reports whether draining cannot get any further: nothing runs, and what is left
// needs what is gone. It is called with the lock held.
func (e *engine) drainIsHopeless() bool {
	return e.draining && e.machine.Running() == 0 && (e.storeClosed || e.busClosed && e.machine.Unmarked() == 0)
}
