package exec

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/onceish/onceish/worker/internal/command"
)

// Children that end without having answered anything are started again after pauses that double.
const (
	firstRestartDelay = 100 * time.Millisecond
	maxRestartDelay   = 5 * time.Second
)

// processSlot has one child at a time, started when it is needed. Its methods are safe for
// concurrent use.
type processSlot struct {
	stream    *Stream
	alone     bool
	startLock chan struct{} // who is in it may start a child

	mu           sync.Mutex
	child        *childProcess // the last one; nil: there was none
	restartDelay time.Duration
	nextStart    time.Time // not before this is the next one started
}

func newProcessSlot(s *Stream, alone bool) *processSlot {
	return &processSlot{stream: s, alone: alone, startLock: make(chan struct{}, 1)}
}

// runEvent tells a child of the event, and the next one if that ended before it read it.
func (l *processSlot) runEvent(ctx context.Context, e streamEvent) deliveryOutcome {
	for {
		c, err := l.acquireChild(ctx)
		if err != nil {
			return deliveryOutcome{fate: fateUnsent, err: err}
		}
		if out, ok := c.runEvent(ctx, e); ok && out.fate != fateUnread {
			return out
		}
	}
}

// acquireChild returns a child that can be told of events. It waits while there is none.
func (l *processSlot) acquireChild(ctx context.Context) (*childProcess, error) {
	if c := l.currentChild(); c != nil && ctx.Err() == nil && c.acceptsEvents() {
		return c, nil
	}
	select {
	case l.startLock <- struct{}{}:
		defer func() { <-l.startLock }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.stream.over:
		return nil, l.stream.err
	}
	for {
		if c := l.currentChild(); c != nil && ctx.Err() == nil && c.acceptsEvents() {
			return c, nil
		}
		if err := l.waitForRestart(ctx); err != nil {
			return nil, err
		}
		if err := l.startProcess(); err != nil {
			return nil, err
		}
	}
}

func (l *processSlot) currentChild() *childProcess {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.child
}

// waitForRestart waits until the next child may be started.
func (l *processSlot) waitForRestart(ctx context.Context) error {
	if c := l.currentChild(); c != nil {
		select {
		case <-c.gone:
		case <-ctx.Done():
		case <-l.stream.over:
		}
		if err := l.stream.waitError(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	due := time.Until(l.nextStart)
	l.mu.Unlock()
	pause := time.NewTimer(due)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-l.stream.draining:
		if due > 0 { // a command that ended without an answer will hardly give one now
			return errDraining
		}
	case <-ctx.Done():
	case <-l.stream.over:
	}
	return l.stream.waitError(ctx)
}

// waitError is why waiting for a child has no use any more.
func (s *Stream) waitError(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.endError()
}

// startProcess returns an error when no command can be started any more.
func (l *processSlot) startProcess() error {
	c, err := startChild(l.stream, l.alone, l.childEnded)
	if errors.Is(err, command.ErrUnguarded) {
		l.stream.endWorker(err)
		return err
	}
	if err != nil {
		return l.retryStart(err)
	}
	l.stream.starts.recordSuccess()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.child = c
	return nil
}

// retryStart has the start of a command repeated, unless that has failed for long while none runs.
func (l *processSlot) retryStart(err error) error {
	s := l.stream
	if s.endIfNothingStarts(err, s.sharedSlot.isRunning() || s.suspectSlot.isRunning()); s.endError() != nil {
		return s.endError()
	}
	s.log.Error("cannot start the command: trying again", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delayRestart()
	return nil
}

// isRunning reports whether there is a child that can be told of events.
func (l *processSlot) isRunning() bool {
	c := l.currentChild()
	return c != nil && c.acceptsEvents()
}

// childEnded decides when the next child may be started.
func (l *processSlot) childEnded(c *childProcess) {
	if err := c.cannotRunError(); err != nil {
		l.stream.endWorker(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.answered || c.retired {
		l.restartDelay, l.nextStart = 0, time.Time{}
		return
	}
	l.delayRestart()
}

// delayRestart puts the next start off. The mutex is held.
func (l *processSlot) delayRestart() {
	l.restartDelay = min(max(2*l.restartDelay, firstRestartDelay), maxRestartDelay)
	l.nextStart = time.Now().Add(l.restartDelay)
}

// closeSlot ends the child for good. The stream is over.
func (l *processSlot) closeSlot() {
	l.startLock <- struct{}{} // and nobody starts another
	if c := l.currentChild(); c != nil {
		c.retireChild()
		<-c.gone
	}
}

// retireIdle ends a child that has nothing in flight.
func (l *processSlot) retireIdle() {
	if c := l.currentChild(); c != nil && c.acceptsEvents() {
		c.retireChild()
	}
}
