package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// drain ends everything in hand, within Options.Drain and a little more.
func (e *engine) drain() error {
	close(e.leaving)
	e.finish()
	ctx, cancel := context.WithTimeout(e.calls, e.afterwards())
	defer cancel()
	if err := e.advance(ctx); err != nil {
		e.o.Logger.Debug("the watermark was not advanced", "error", err)
	}
	if err := e.cursor.current().Close(ctx); err != nil {
		e.o.Logger.Warn("answers may be lost: their events come again", "error", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.ended, e.leftBehind())
}

// finish waits until nothing is in hand any more, or nothing more can be done about it.
func (e *engine) finish() {
	e.mu.Lock()
	drained, futile := e.drained, e.futile
	e.draining = true
	e.mu.Unlock()
	e.step(func(m *protocol.Machine, now time.Time) {
		m.Drain(now)
		if e.noStore {
			m.CutShort(dedupe.ErrClosed)
		}
	})
	timer := time.NewTimer(e.o.Drain)
	defer timer.Stop()
	select {
	case <-drained:
	case <-futile:
		waitFor(drained, goneGrace)
	case <-timer.C:
		e.o.Logger.Warn("draining takes too long: cancelling what still runs", "after", e.o.Drain)
		e.step(func(m *protocol.Machine, _ time.Time) { m.CutShort(ErrDrainTimeout) })
		waitFor(drained, e.afterwards())
	}
}

// afterwards is how long marks, answers and cancelled handlers get after the drain time-out.
func (e *engine) afterwards() time.Duration { return min(e.o.Drain, 5*time.Second) }

func waitFor(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

// leftBehind tells what the drain could not finish.
func (e *engine) leftBehind() error {
	s := e.machine.Stats()
	if s.InFlight == 0 {
		return nil
	}
	unmarked := e.machine.Unmarked()
	return fmt.Errorf("%w: %d events are left in hand: %d handlers did not return, %d succeeded and could not be marked (they will run again)",
		ErrDrainIncomplete, s.InFlight, s.Running+uint64(e.machine.Stuck()), unmarked)
}
