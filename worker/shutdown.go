package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"

	"github.com/onceish/onceish/consumer"
)

// drainMargin is what a worker takes beyond its drain time-out at most, whatever hangs.
// Subscriptions take up to 4 s of it for what they cancelled, for marks and answers.
const drainMargin = 5 * time.Second

// defaultDrain is the drain time-out of a worker that says nothing and has no subscriptions.
const defaultDrain = 25 * time.Second

// shutdownClock is the one deadline of everything that happens when a worker ends: it counts from
// the moment when the first of its actors has ended or was told to. Its methods are safe for
// concurrent use.
type shutdownClock struct {
	drain time.Duration
	begun chan struct{}

	mu      sync.Mutex
	began   time.Time
	running []string // names of actors that have not ended
}

func newShutdownClock(drain time.Duration) *shutdownClock {
	return &shutdownClock{drain: drain, begun: make(chan struct{})}
}

// startClock starts the clock. Repeated calls do nothing.
func (s *shutdownClock) startClock() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		s.began = time.Now()
		close(s.begun)
	}
}

func (s *shutdownClock) hasBegun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.began.IsZero()
}

// deadline is a while before the end of all of it; not ok: it has not begun.
func (s *shutdownClock) deadline(before time.Duration) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.began.Add(s.drain + drainMargin - before), !s.began.IsZero()
}

// clockActor begins the shutdown when the worker begins to drain.
func (s *shutdownClock) clockActor() Actor {
	told := make(chan struct{})
	return Actor{
		Name: "shutdown",
		Run: func() error {
			<-told
			return errAsked
		},
		Stop: func(error) {
			s.startClock()
			close(told)
		},
	}
}

// trackActor notes which actors have not ended.
func (s *shutdownClock) trackActor(a Actor) Actor {
	s.mu.Lock()
	s.running = append(s.running, a.Name)
	s.mu.Unlock()
	inner := a.Run
	a.Run = func() error {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			i := slices.Index(s.running, a.Name)
			s.running = slices.Delete(s.running, i, i+1)
		}()
		return inner()
	}
	return a
}

// runGroup runs the group to its end. The drainers are cut short a second before the end of the
// shutdown, when the subscriptions have had their time; what has not ended half a second later is
// left behind.
func (s *shutdownClock) runGroup(g *run.Group, drainers []*drainerRun) error {
	done := make(chan error, 1)
	go func() { done <- g.Run() }()
	select {
	case err := <-done:
		return err
	case <-s.begun:
	}
	end, _ := s.deadline(time.Second / 2)
	cut := time.AfterFunc(time.Until(end)-time.Second/2, func() {
		for _, d := range drainers {
			d.CutShort()
		}
	})
	defer cut.Stop()
	enough := time.NewTimer(time.Until(end))
	defer enough.Stop()
	select {
	case err := <-done:
		return err
	case <-enough.C:
		return s.incompleteError()
	}
}

// incompleteError tells which actors are left behind.
func (s *shutdownClock) incompleteError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("%w: not ended %v after the worker began to drain: %s", consumer.ErrDrainIncomplete,
		time.Since(s.began).Round(time.Second/10), strings.Join(s.running, ", "))
}

// minCloseTime is what something that is closed gets at least.
const minCloseTime = 100 * time.Millisecond

// closeContext is a context for closing something, a while before the end of the shutdown, if
// there is one.
func (s *shutdownClock) closeContext(before time.Duration) (context.Context, context.CancelFunc) {
	end, ok := s.deadline(before)
	if !ok {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), max(time.Until(end), minCloseTime))
}

var errHangs = errors.New("it did not end in time, and was left behind")

// closeWithin calls close, and does not wait for it when ctx ends.
func closeWithin(ctx context.Context, what string, closer func() error) error {
	done := make(chan error, 1)
	go func() { done <- closer() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: closing %s: %w", consumer.ErrDrainIncomplete, what, errHangs)
	}
}
