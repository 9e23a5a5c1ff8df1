package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// TestSnapshotSaysWhatIsKnown of subscriptions, lags, members and outboxes, before, during and
// after a run.
func TestSnapshotSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 3)
		q := newOutbox(t)
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "u"}, bus.Event{ID: "2", Topic: "u"})
		var w *Worker
		release := make(chan struct{})
		handler := func(_ context.Context, e bus.Event) error {
			if e.ID != "0" {
				<-release
			}
			return nil
		}
		stop := g.start(t, func(worker *Worker) {
			w = worker
			w.Handle("t", handler, &consumer.Options{Concurrency: 2, TTL: time.Hour, AckWait: time.Minute, RunLimit: 20 * time.Minute})
			d := drain(t, w, q, nil)
			d.PauseBy("test")
			if s := w.Snapshot(); s.Group != "g" || s.Members != 1 || len(s.Subscriptions)+len(s.Outboxes) != 0 {
				t.Errorf("before Run: %+v", s)
			}
		})
		other := g.start(t, func(w *Worker) { w.Handle("v", handler, nil) })
		time.Sleep(time.Minute)
		s := w.Snapshot()
		if s.Members != 2 || len(s.Subscriptions) != 1 || len(s.Outboxes) != 1 {
			t.Fatalf("%+v", s)
		}
		sub := s.Subscriptions[0]
		if sub.Topic != "t" || sub.Status != stateRunning || sub.Concurrency != 2 || sub.Stats.Handled != 1 || sub.Stats.InFlight != 2 {
			t.Errorf("the subscription: %+v", sub)
		}
		if want := time.Hour - time.Minute - 20*time.Minute - 5*time.Minute; sub.TTLMargin != want {
			t.Errorf("marks are kept for %v longer than needed, want %v", sub.TTLMargin, want)
		}
		if !sub.LagKnown || sub.Lag.Unsettled != 2 || !sub.BehindKnown || sub.Behind < 45*time.Second || sub.Behind > time.Minute {
			t.Errorf("the lag: %+v", sub)
		}
		if o := s.Outboxes[0]; !o.Paused || !o.BacklogKnown || o.Backlog.Pending != 2 || o.Backlog.Oldest < 45*time.Second || o.Name != "outbox" || o.ShortName != "outbox" {
			t.Errorf("the outbox: %+v", o)
		}
		_, err := group.Pause(t.Context(), g.store, "g", group.Request{Topic: "t", Reason: "a test", By: "me"})
		must(t, err)
		if sub := w.Snapshot().Subscriptions[0]; sub.Status != statePaused || sub.Why == "" || !slices.Contains(sub.Held.PausedBy, pausedByGroup) {
			t.Errorf("paused: %+v", sub)
		}
		close(release)
		other()
		stop()
		if s := w.Snapshot(); len(s.Subscriptions) != 1 || s.Subscriptions[0].Status != stateDraining || s.Subscriptions[0].Stats.Handled != 3 || len(s.Outboxes) != 1 {
			t.Errorf("after the run: %+v", s)
		}
	})
}

// uncountable is a queue that does not answer how many rows it has.
type uncountable struct{ *memoutbox.Queue }

func (uncountable) CountBacklog(context.Context, int) (outbox.Backlog, error) {
	return outbox.Backlog{}, context.DeadlineExceeded
}

func TestBacklogThatWasNotAnsweredIsNotKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		q := newOutbox(t)
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "u"})
		d := &drainerRun{queue: q}
		d.Drainer = drain(t, r.worker(t, Options{}), q, nil)
		d.pollBacklog(t.Context())
		if s := d.snapshot(); !s.BacklogKnown || s.Backlog.Pending != 1 {
			t.Errorf("%+v", s)
		}
		d.queue = uncountable{q}
		d.pollBacklog(t.Context())
		if s := d.snapshot(); s.BacklogKnown || s.Backlog != (outbox.Backlog{}) {
			t.Errorf("after an error: %+v", s)
		}
	})
}

// silentBus does not say how groups stand once it is silent.
type silentBus struct {
	bus.Bus

	silent *atomic.Bool
}

func (b silentBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return silentSource{s, b.silent}, err
}

type silentSource struct {
	bus.Source

	silent *atomic.Bool
}

func (s silentSource) Info(ctx context.Context) (bus.Info, error) {
	if !s.silent.Load() {
		return s.Source.Info(ctx)
	}
	<-ctx.Done()
	return bus.Info{}, context.Cause(ctx)
}

// TestSilentServerHidesNothingOfOthers: while the bus does not say how far the group is, the
// outbox, which fills meanwhile, and the members are known.
func TestSilentServerHidesNothingOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, q := newGroupRig(t, 0), newOutbox(t)
		addTo(t.Context(), t, q, bus.Event{ID: "1", Topic: "u"})
		var w *Worker
		var silent atomic.Bool
		stop := g.start(t, func(worker *Worker) {
			w = worker
			conns := Over(silentBus{g.bus, &silent}, g.rig.store)
			conns.groups, w.conns = g.store, conns
			for _, topic := range []string{"t", "v"} {
				w.Handle(topic, func(context.Context, bus.Event) error { return nil }, nil)
			}
			drain(t, w, q, nil).PauseBy("test")
		})
		time.Sleep(time.Second)
		silent.Store(true)
		addTo(t.Context(), t, q, bus.Event{ID: "2", Topic: "u"})
		other := g.start(t, func(w *Worker) { w.Handle("t", func(context.Context, bus.Event) error { return nil }, nil) })
		time.Sleep(time.Minute)
		s := w.Snapshot()
		if len(s.Subscriptions) != 2 || s.Subscriptions[0].LagKnown || s.Subscriptions[1].BehindKnown {
			t.Errorf("the lag of a bus that does not answer: %+v", s.Subscriptions)
		}
		if s.Members != 2 || len(s.Outboxes) != 1 || !s.Outboxes[0].BacklogKnown || s.Outboxes[0].Backlog.Pending != 2 {
			t.Errorf("%d members, outboxes %+v", s.Members, s.Outboxes)
		}
		other()
		stop()
	})
}

// notes keeps who observed which event.
type notes struct {
	mu   sync.Mutex
	seen []string
}

// by returns an observer that notes a name.
func (n *notes) by(name string) consumer.Observer { return &noter{n, name} }

type noter struct {
	notes *notes
	name  string
}

// Observe implements consumer.Observer.
func (o *noter) Observe(seen consumer.Observation) {
	o.notes.mu.Lock()
	defer o.notes.mu.Unlock()
	o.notes.seen = append(o.notes.seen, fmt.Sprintf("%s: %s", o.name, seen.Outcome))
}

// TestObserveReachesEachSubscription beside the observer of its options.
func TestObserveReachesEachSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, n := newRig(t, 1), &notes{}
		w := r.worker(t, Options{UntilEmpty: true})
		w.Observe(func(topic, group string) consumer.Observer {
			return n.by("added for " + topic + " of " + group)
		})
		w.Observe(func(string, string) consumer.Observer { return nil })
		handle := func(ctx context.Context, e bus.Event) error {
			if e.Topic == "t" {
				_, err := r.bus.Publish(ctx, bus.Event{ID: "next", Topic: "u"})
				return err
			}
			return nil
		}
		w.Handle("t", handle, &consumer.Options{Observer: n.by("own")})
		w.Handle("u", handle, nil)
		must(t, w.Run(t.Context()))
		if slices.Index(n.seen, "own: handled") > slices.Index(n.seen, "added for t of g: handled") {
			t.Errorf("%q: the subscription's own observer is to be told first", n.seen)
		}
		want := []string{"added for t of g: handled", "added for u of g: handled", "own: handled"}
		if got := slices.Sorted(slices.Values(n.seen)); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
