package handlers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/onceish/onceish/worker/internal/command"
)

// Children that end without having answered anything are started again after pauses that double.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// lane has one child at a time, started when it is needed. Its methods are safe for concurrent use.
type lane struct {
	stream *Stream
	alone  bool
	turn   chan struct{} // who is in it may start a child

	mu    sync.Mutex
	child *child // the last one; nil: there was none
	pause time.Duration
	next  time.Time // not before this is the next one started
}

func newLane(s *Stream, alone bool) *lane {
	return &lane{stream: s, alone: alone, turn: make(chan struct{}, 1)}
}

// run tells a child of the event, and the next one if that ended before it read it.
func (l *lane) run(ctx context.Context, key string, line []byte) outcome {
	for {
		c, err := l.get(ctx)
		if err != nil {
			return outcome{fate: unsent, err: err}
		}
		if out, ok := c.run(ctx, key, line); ok && out.fate != unread {
			return out
		}
	}
}

// get returns a child that can be told of events. It waits while there is none.
func (l *lane) get(ctx context.Context) (*child, error) {
	if c := l.last(); c != nil && ctx.Err() == nil && c.open() {
		return c, nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.stream.over:
		return nil, l.stream.err
	}
	for {
		if c := l.last(); c != nil && ctx.Err() == nil && c.open() {
			return c, nil
		}
		if err := l.free(ctx); err != nil {
			return nil, err
		}
		if err := l.start(); err != nil {
			return nil, err
		}
	}
}

func (l *lane) last() *child {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.child
}

// free waits until the next child may be started.
func (l *lane) free(ctx context.Context) error {
	if c := l.last(); c != nil {
		if err := wait(ctx, l.stream, c.gone); err != nil {
			return err
		}
	}
	l.mu.Lock()
	due := time.Until(l.next)
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
	return l.stream.useless(ctx)
}

// wait waits for the channel, and returns why it is of no use any more.
func wait[T any](ctx context.Context, s *Stream, c <-chan T) error {
	select {
	case <-c:
	case <-ctx.Done():
	case <-s.over:
	}
	return s.useless(ctx)
}

// useless is why waiting for a child has no use any more.
func (s *Stream) useless(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.ended()
}

// start returns an error when no command can be started any more.
func (l *lane) start() error {
	c, err := startChild(l.stream, l.alone, l.buried)
	if errors.Is(err, command.ErrUnguarded) {
		l.stream.finish(err)
		return err
	}
	if err != nil {
		return l.notStarted(err)
	}
	l.stream.starts.succeed()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.child = c
	return nil
}

// notStarted has the start of a command repeated, unless that has failed for long while none runs.
func (l *lane) notStarted(err error) error {
	s := l.stream
	if s.starts.fail() && !s.beside.runs() && !s.single.runs() {
		s.finish(fmt.Errorf("no command could be started for %v: %w", startPatience, err))
		return s.ended()
	}
	s.log.Error("cannot start the command: trying again", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay()
	return nil
}

// runs reports whether there is a child that can be told of events.
func (l *lane) runs() bool {
	c := l.last()
	return c != nil && c.open()
}

// buried decides when the next child may be started.
func (l *lane) buried(c *child) {
	if err := c.cannotRun(); err != nil {
		l.stream.finish(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.answered || c.retired {
		l.pause, l.next = 0, time.Time{}
		return
	}
	l.delay()
}

// delay puts the next start off. The mutex is held.
func (l *lane) delay() {
	l.pause = min(max(2*l.pause, firstPause), mostPause)
	l.next = time.Now().Add(l.pause)
}

// close ends the child for good. The stream is over.
func (l *lane) close() {
	l.turn <- struct{}{} // and nobody starts another
	if c := l.last(); c != nil {
		c.retire()
		<-c.gone
	}
}

// rest ends a child that has nothing in hand.
func (l *lane) rest() {
	if c := l.last(); c != nil && c.open() {
		c.retire()
	}
}
