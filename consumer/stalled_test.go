package consumer_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// A subscription is stalled while handlers that do not return hold every slot: no sooner, and no
// longer.
func TestStalledWhileEverySlotIsHeldForGood(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"), order("2"), order("3"))
		release := make(chan struct{})
		s := w.subscribe(func(context.Context, bus.Event) error { <-release; return nil },
			&consumer.Options{RunLimit: time.Minute, Concurrency: 2})
		synctest.Wait()
		if err := s.Stalled(); err != nil {
			t.Errorf("before the run limit: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := s.Stalled(); err == nil || !strings.Contains(err.Error(), "all 2 slots") {
			t.Errorf("after the run limit: %v", err)
		}
		release <- struct{}{}
		synctest.Wait()
		if err := s.Stalled(); err != nil {
			t.Errorf("with a free slot: %v", err)
		}
		close(release)
		w.drain(s)
		if err := s.Stalled(); err != nil {
			t.Errorf("once it has ended: %v", err)
		}
	})
}

// A restart would not help against a store that is away, so the subscription is not stalled.
func TestOutageIsNoStall(t *testing.T) {
	inBubble(t, func(w *harness) {
		var down atomic.Bool
		down.Store(true)
		w.publish(order("1"))
		s := w.subscribeTo(w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Claim && down.Load() {
				return faulty.Fault{Before: errDown}
			}
			return faulty.Fault{}
		}),
			func(context.Context, bus.Event) error { return nil }, nil)
		time.Sleep(time.Hour)
		if s.Healthy() == nil || s.Stalled() != nil {
			t.Errorf("healthy: %v, stalled: %v", s.Healthy(), s.Stalled())
		}
		down.Store(false)
		w.drain(s)
	})
}
