package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/breaker"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// groupRig is a group of workers over one bus, store and group store, in a bubble.
type groupRig struct {
	*rig

	store group.Store // of all workers
}

func newGroupRig(t *testing.T, events int) *groupRig {
	t.Helper()
	r := newRig(t, events)
	store, err := Over(r.bus, r.store).GroupStore(t.Context())
	must(t, err)
	return &groupRig{rig: r, store: store}
}

// start runs a worker, and returns what ends it.
func (g *groupRig) start(t *testing.T, setup func(w *Worker)) (stop func()) {
	t.Helper()
	conns := Over(g.bus, g.rig.store)
	conns.groups = g.store
	w, err := New("g", conns, &Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	setup(w)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func (g *groupRig) publish(t *testing.T, topic, prefix string, n int) {
	t.Helper()
	for i := range n {
		_, err := g.bus.Publish(t.Context(), bus.Event{ID: fmt.Sprint(prefix, i), Topic: topic})
		must(t, err)
	}
}

func (g *groupRig) pause(t *testing.T, topic string) group.Result {
	t.Helper()
	result, err := group.Pause(t.Context(), g.store, "g", group.Request{Topic: topic, By: "test", Reason: "to see"})
	must(t, err)
	return result
}

func (g *groupRig) resume(t *testing.T, topic string) {
	t.Helper()
	_, err := group.Resume(t.Context(), g.store, "g", group.Request{Topic: topic, By: "test"})
	must(t, err)
}

// TestPausedGroupStartsNothingAnywhere: neither what runs now nor what starts later.
func TestPausedGroupStartsNothingAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var starts atomic.Int32
		setup := func(w *Worker) {
			w.Handle("t", func(context.Context, bus.Event) error {
				starts.Add(1)
				return nil
			}, nil)
		}
		stops := []func(){g.start(t, setup), g.start(t, setup)}
		synctest.Wait()
		if result := g.pause(t, ""); len(result.Confirmed) != 2 || len(result.Missing) != 0 {
			t.Errorf("%+v", result)
		}
		stops = append(stops, g.start(t, setup))
		g.publish(t, "t", "a", 50)
		time.Sleep(time.Hour)
		if n := starts.Load(); n != 0 {
			t.Errorf("%d started while the group was paused", n)
		}
		members, err := group.Members(t.Context(), g.store, "g")
		must(t, err)
		for _, m := range members {
			if s := m.Subscriptions[0]; s.State != statePaused || !strings.Contains(s.Why, "to see, by test") {
				t.Errorf("%+v", s)
			}
		}
		g.resume(t, "")
		time.Sleep(time.Minute)
		if n := starts.Load(); n != 50 || len(members) != 3 {
			t.Errorf("%d of 50 started, %d of 3 members", n, len(members))
		}
		for _, stop := range stops {
			stop()
		}
		if members, err := group.Members(t.Context(), g.store, "g"); err != nil || len(members) != 0 {
			t.Errorf("after the drain: %v, %v", members, err)
		}
	})
}

// TestMemberListsWhatItRuns: from the first run on.
func TestMemberListsWhatItRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		g.publish(t, "t", "a", 1)
		listed := make(chan []group.Member, 1)
		stop := g.start(t, func(w *Worker) {
			w.Handle("t", func(ctx context.Context, _ bus.Event) error {
				members, err := group.Members(ctx, g.store, "g")
				listed <- members
				return err
			}, nil)
		})
		members := <-listed
		if len(members) != 1 || members[0].State != group.Running || len(members[0].Subscriptions) != 1 || members[0].Subscriptions[0].Topic != "t" {
			t.Errorf("while an event is handled: %+v", members)
		}
		stop()
	})
}

// TestPausedTopicLeavesOthers, and the group's pause is another one than the topic's.
func TestPausedTopicLeavesOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var starts sync.Map
		count := func(topic string) int32 {
			n, _ := starts.LoadOrStore(topic, new(atomic.Int32))
			return n.(*atomic.Int32).Load()
		}
		stop := g.start(t, func(w *Worker) {
			for _, topic := range []string{"t", "u"} {
				count(topic)
				w.Handle(topic, func(_ context.Context, e bus.Event) error {
					n, _ := starts.Load(e.Topic)
					n.(*atomic.Int32).Add(1)
					return nil
				}, nil)
			}
		})
		synctest.Wait()
		g.pause(t, "t")
		g.publish(t, "t", "a", 3)
		g.publish(t, "u", "a", 3)
		time.Sleep(time.Minute)
		if count("t") != 0 || count("u") != 3 {
			t.Errorf("%d of the paused topic, %d of 3 of the other one", count("t"), count("u"))
		}
		g.pause(t, "")
		g.resume(t, "t")
		time.Sleep(time.Minute)
		if count("t") != 0 {
			t.Error("resuming the topic ended the pause of the group")
		}
		g.resume(t, "")
		time.Sleep(time.Minute)
		if count("t") != 3 {
			t.Errorf("%d of 3 after both ended", count("t"))
		}
		stop()
	})
}

// TestPausedOutboxPublishesNothing: by a pause of the outbox, and by one of the group.
func TestPausedOutboxPublishesNothing(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{group.Outbox, ""} {
		t.Run("scope "+scope, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGroupRig(t, 0)
				q, err := memoutbox.New(nil)
				must(t, err)
				var d *outbox.Drainer
				stop := g.start(t, func(w *Worker) {
					var err error
					d, err = w.AddDrainer(q, nil)
					must(t, err)
				})
				synctest.Wait()
				g.pause(t, scope)
				_, err = q.Add(t.Context(), bus.Event{ID: "1", Topic: "u"})
				must(t, err)
				time.Sleep(time.Minute)
				if n := d.Stats().Sent; n != 0 {
					t.Error("published while paused")
				}
				g.resume(t, scope)
				time.Sleep(time.Minute)
				if n := d.Stats().Sent; n != 1 {
					t.Errorf("%d of 1 published", n)
				}
				stop()
			})
		})
	}
}

// TestRetriesGoOnAfterAPause: those that fell due meanwhile, with no attempt more.
func TestRetriesGoOnAfterAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var runs []int
		stop := g.start(t, func(w *Worker) {
			w.Handle("t", func(ctx context.Context, _ bus.Event) error {
				if runs = append(runs, consumer.AttemptFrom(ctx).Number); len(runs) == 1 {
					return consumer.RetryAfter(time.Minute, errors.New("not yet"))
				}
				return nil
			}, nil)
		})
		g.publish(t, "t", "a", 1)
		time.Sleep(time.Second)
		g.pause(t, "")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(runs) != 1 {
			t.Errorf("runs %v while paused", runs)
		}
		g.resume(t, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(runs) != 2 || runs[1] != 2 {
			t.Errorf("attempts %v, want 1 and 2", runs)
		}
		stop()
	})
}

// TestGroupBreakerOpensEverywhereAndOneProbes: failures in one process stop all of them, the probes
// alone use up attempts, and when the receiver is back everything is handled.
func TestGroupBreakerOpensEverywhereAndOneProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var down atomic.Bool
		var runs, inside, most atomic.Int32
		handle := func(context.Context, bus.Event) error {
			runs.Add(1)
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer inside.Add(-1)
			time.Sleep(100 * time.Millisecond)
			if down.Load() {
				return errors.New("receiver is down")
			}
			return nil
		}
		var stops []func()
		for range 3 {
			stops = append(stops, g.start(t, func(w *Worker) {
				b, err := w.GroupBreaker("t", &breaker.Options{Failures: 3, Wait: 10 * time.Second})
				must(t, err)
				w.Handle("t", handle, &consumer.Options{Gates: []flow.Gate{b}, Concurrency: 4, MaxAttempts: 50})
			}))
		}
		synctest.Wait()
		down.Store(true)
		g.publish(t, "t", "a", 100)
		time.Sleep(5 * time.Second)
		for range 10 { // the breaker of each process has opened, by its own failures or another's
			opened := runs.Load()
			most.Store(0)
			time.Sleep(6 * time.Second)
			if n := runs.Load() - opened; n > 1 || most.Load() > 1 {
				t.Errorf("%d runs in 6 s, %d at once, while the breaker waits 10 s or longer", n, most.Load())
			}
		}
		down.Store(false)
		time.Sleep(30 * time.Minute)
		for _, stop := range stops {
			stop()
		}
		letters, err := g.bus.Subscribe(t.Context(), "dead.>", "letters", nil)
		must(t, err)
		if info, err := letters.Info(t.Context()); err != nil || info.Pending != 0 || runs.Load() < 100 {
			t.Errorf("%d letters (%v), %d runs", info.Pending, err, runs.Load())
		}
	})
}

// TestWorkerThatStartsWhileTheGroupsBreakerIsOpenWaits: it opens its own, and goes on when the
// group does.
func TestWorkerThatStartsWhileTheGroupsBreakerIsOpenWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		_, err := group.Pause(t.Context(), g.store, "g", group.Request{
			Topic: breakerScope + "t", For: time.Minute, By: "breaker of another", Reason: "down",
		})
		must(t, err)
		var starts atomic.Int32
		stop := g.start(t, func(w *Worker) {
			b, err := w.GroupBreaker("t", nil)
			must(t, err)
			w.Handle("t", func(context.Context, bus.Event) error {
				starts.Add(1)
				return nil
			}, &consumer.Options{Gates: []flow.Gate{b}})
		})
		g.publish(t, "t", "a", 5)
		time.Sleep(50 * time.Second)
		if n := starts.Load(); n != 0 {
			t.Errorf("%d started while the breaker of the group is open", n)
		}
		time.Sleep(time.Minute)
		if n := starts.Load(); n != 5 {
			t.Errorf("%d of 5 started after it", n)
		}
		stop()
	})
}
