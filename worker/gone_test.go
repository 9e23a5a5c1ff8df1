package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
)

// goneEndpoint is an endpoint that is gone, until it is back, as a handler in each of several
// workers finds it.
type goneEndpoint struct {
	back atomic.Bool

	mu       sync.Mutex
	asked    int
	handled  map[string]bool
	attempts map[int]int // how many runs had which number
}

func newGoneEndpoint() *goneEndpoint {
	return &goneEndpoint{handled: make(map[string]bool), attempts: make(map[int]int)}
}

// handler posts to the endpoint, and has pause called when it is gone.
func (e *goneEndpoint) handler(pause func(context.Context, string) error) consumer.Handler {
	return func(ctx context.Context, event bus.Event) error {
		e.mu.Lock()
		e.asked++
		e.attempts[consumer.AttemptFrom(ctx).Number]++
		e.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		if e.back.Load() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.handled[event.ID] = true
			return nil
		}
		gone := errors.New("410 Gone")
		if err := pause(ctx, "https://shop.example"); err != nil {
			return consumer.Unavailable(errors.Join(gone, err))
		}
		return consumer.Throttled(0, gone)
	}
}

// lockedBuffer is a log that several workers write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// slowPauses is a store of groups that takes a while to read pauses: several processes look before
// one of them has stored its own.
type slowPauses struct {
	group.Store

	stored atomic.Int64 // pauses of topics
}

// List implements group.Store.
func (s *slowPauses) List(ctx context.Context, space group.Space, g string) (group.Listing, error) {
	listing, err := s.Store.List(ctx, space, g)
	if space == group.PauseRows {
		time.Sleep(5 * time.Millisecond)
	}
	return listing, err
}

// Put implements group.Store.
func (s *slowPauses) Put(ctx context.Context, space group.Space, g, key string, data []byte, at uint64) (uint64, error) {
	if space == group.PauseRows {
		s.stored.Add(1)
	}
	return s.Store.Put(ctx, space, g, key, data, at)
}

// TestGoneEndpointPausesItsTopicOnce: in all processes of the group, whichever of their runs find
// it gone at the same time, until the topic is resumed. No event is lost, and none has an attempt
// counted.
func TestGoneEndpointPausesItsTopicOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const workers, concurrency, events = 3, 8, 200
		g, e, log := newGroupRig(t, 0), newGoneEndpoint(), &lockedBuffer{}
		store := &slowPauses{Store: g.store}
		g.store = store
		var stops []func()
		for range workers {
			stops = append(stops, g.start(t, func(w *Worker) {
				w.o.Logger = slog.New(slog.NewTextHandler(log, nil))
				w.Handle("t", e.handler(w.PauseWhenGone("t")), &consumer.Options{Concurrency: concurrency, MaxAttempts: 2})
				w.Handle("u", func(context.Context, bus.Event) error { return nil }, nil)
			}))
		}
		synctest.Wait()
		g.publish(t, "t", "a", events)
		time.Sleep(time.Hour)
		synctest.Wait()
		if e.asked == 0 || e.asked > 2*workers*concurrency {
			t.Errorf("%d requests, of %d at once", e.asked, workers*concurrency)
		}
		asked := e.asked
		pauses, err := group.Pauses(t.Context(), g.store, "g")
		must(t, err)
		if len(pauses) != 1 || pauses[0].Topic != "t" || !pauses[0].Until.IsZero() || !strings.Contains(pauses[0].Reason, "https://shop.example is gone for good") {
			t.Fatalf("pauses %v", pauses)
		}
		if n := strings.Count(log.String(), "endpoint is gone for good"); n != 1 || !strings.Contains(log.String(), `next="worker resume g 't'"`) {
			t.Errorf("%d pauses are logged:\n%s", n, log)
		}
		if n := store.stored.Load(); n != 1 {
			t.Errorf("%d pauses are stored", n)
		}
		members, err := group.Members(t.Context(), g.store, "g")
		must(t, err)
		for _, m := range members {
			if s := m.Subscriptions[0]; s.State != statePaused || !strings.Contains(s.Why, "https://shop.example is gone for good") || m.Subscriptions[1].State != stateRunning {
				t.Errorf("%+v", m.Subscriptions)
			}
		}
		e.back.Store(true)
		time.Sleep(time.Hour)
		synctest.Wait()
		if e.asked != asked {
			t.Errorf("%d requests while it was paused", e.asked-asked)
		}
		g.resume(t, "t")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(e.handled) != events || len(e.attempts) != 1 {
			t.Errorf("%d of %d events are handled; runs by attempt: %v", len(e.handled), events, e.attempts)
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// TestGoneEndpointLeavesAPauseAsItIs: what an operator has said stays, with its reason and its end.
func TestGoneEndpointLeavesAPauseAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e, begun := newGroupRig(t, 0), newGoneEndpoint(), make(chan struct{})
		stop := g.start(t, func(w *Worker) {
			handle := e.handler(w.PauseWhenGone("t"))
			w.Handle("t", func(ctx context.Context, event bus.Event) error {
				if !e.back.Load() {
					close(begun)
					time.Sleep(time.Minute) // the pause comes before the answer
				}
				return handle(ctx, event)
			}, nil)
		})
		g.publish(t, "t", "a", 1)
		<-begun
		g.pause(t, "")
		time.Sleep(time.Hour)
		synctest.Wait()
		pauses, err := group.Pauses(t.Context(), g.store, "g")
		must(t, err)
		if len(pauses) != 1 || pauses[0].Reason != "to see" {
			t.Errorf("pauses %v", pauses)
		}
		e.back.Store(true)
		g.resume(t, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(e.handled) != 1 {
			t.Errorf("handled %v", e.handled)
		}
		stop()
	})
}

// brokenPauses is a store of groups that can store no pauses while it is broken.
type brokenPauses struct {
	group.Store

	broken atomic.Bool
}

// Put implements group.Store.
func (s *brokenPauses) Put(ctx context.Context, space group.Space, g, key string, data []byte, at uint64) (uint64, error) {
	if s.broken.Load() && space == group.PauseRows && strings.HasPrefix(key, "topic:") {
		return 0, errors.New("the store takes no pauses")
	}
	return s.Store.Put(ctx, space, g, key, data, at)
}

// TestGoneEndpointThatCannotBePausedIsRetried: and paused as soon as the store takes it.
func TestGoneEndpointThatCannotBePausedIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e, log := newGroupRig(t, 0), newGoneEndpoint(), &lockedBuffer{}
		store := &brokenPauses{Store: g.store}
		store.broken.Store(true)
		g.store = store
		stop := g.start(t, func(w *Worker) {
			w.o.Logger = slog.New(slog.NewTextHandler(log, nil))
			w.Handle("t", e.handler(w.PauseWhenGone("t")), &consumer.Options{MaxAttempts: 1})
		})
		g.publish(t, "t", "a", 20)
		time.Sleep(time.Minute)
		synctest.Wait()
		if pauses, err := group.Pauses(t.Context(), g.store, "g"); err != nil || len(pauses) > 0 {
			t.Errorf("%v, %v", pauses, err)
		}
		if text := log.String(); !strings.Contains(text, "the topic cannot be paused; its events are retried") || !strings.Contains(text, "the store takes no pauses") {
			t.Errorf("the log:\n%s", text)
		}
		store.broken.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if pauses, err := group.Pauses(t.Context(), g.store, "g"); err != nil || len(pauses) != 1 {
			t.Errorf("%v, %v", pauses, err)
		}
		e.back.Store(true)
		g.resume(t, "t")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(e.handled) != 20 || len(e.attempts) != 1 {
			t.Errorf("%d of 20 events are handled; runs by attempt: %v", len(e.handled), e.attempts)
		}
		stop()
	})
}

func TestGoneEndpointOutsideOfAGroupIsAnError(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	if err := r.worker(t, Options{}).PauseWhenGone("t")(t.Context(), "https://shop.example"); !errors.Is(err, errNotJoined) {
		t.Errorf("%v", err)
	}
}
