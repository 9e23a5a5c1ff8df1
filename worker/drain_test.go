package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/outbox"
)

// hangingRun is a worker that is told to end while things hang, in a bubble with its own time. It
// returns how long it took.
func hangingRun(t *testing.T, hangs func(r *rig, w *Worker, free <-chan struct{}), drain time.Duration, plan faulty.Plan) (time.Duration, error) {
	t.Helper()
	r := newRig(t, 20)
	o := Options{Drain: drain, Logger: slog.New(slog.NewTextHandler(&r.log, nil))}
	w, err := New("g", Over(bustest.Faulty(r.bus, plan), dedupetest.Faulty(r.store, plan)), &o)
	if err != nil {
		t.Fatal(err)
	}
	free := make(chan struct{})
	defer synctest.Wait()
	defer close(free)
	hangs(r, w, free)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var told time.Time
	time.AfterFunc(time.Minute, func() {
		told = time.Now()
		cancel()
	})
	err = errors.Join(w.Run(ctx), w.conns.Close())
	return time.Since(told), err
}

// Whatever hangs when a worker ends, it ends within its drain time-out and the margin, and names
// what it left behind.
func TestDrainEndsInTimeWhateverHangs(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context, _ bus.Event) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	quick := func(context.Context, bus.Event) error { return nil }
	all := func(c faulty.Call) bool { return c != faulty.Topic && c != faulty.Subscribe && c != faulty.Begin }
	for name, c := range map[string]struct {
		hangs func(r *rig, w *Worker, free <-chan struct{})
		calls func(faulty.Call) bool
		says  string
		not   string
	}{
		"bus and store":       {hangs: func(_ *rig, w *Worker, _ <-chan struct{}) { w.Handle("t", wait, nil) }, calls: all, says: "drain"},
		"bus and store, idle": {hangs: func(_ *rig, w *Worker, _ <-chan struct{}) { w.Handle("t", quick, nil) }, calls: all},
		"an outbox to a bus that hangs": {hangs: func(_ *rig, w *Worker, _ <-chan struct{}) {
			q := newOutbox(t)
			time.AfterFunc(40*time.Second, func() { addTo(context.Background(), t, q, bus.Event{ID: "1", Topic: "out"}) })
			drain(t, w, q, &outbox.Options{Drain: time.Hour})
			w.Handle("t", wait, nil)
		}, calls: all, says: "drain", not: "drainer of"},
		"a deaf handler": {hangs: func(_ *rig, w *Worker, free <-chan struct{}) {
			w.Handle("t", func(context.Context, bus.Event) error {
				<-free
				return nil
			}, nil)
		}, says: "did not return"},
		"an actor": {hangs: func(_ *rig, w *Worker, free <-chan struct{}) {
			w.Handle("t", quick, nil)
			w.Add(Actor{Name: "the cache", Run: func() error {
				<-free
				return nil
			}, Stop: func(error) {}})
		}, says: "the cache"},
		"what was deferred": {hangs: func(_ *rig, w *Worker, free <-chan struct{}) {
			w.Handle("t", quick, nil)
			w.Defer(func() error {
				<-free
				return nil
			})
		}, says: "closing what was deferred"},
		"a connection": {hangs: func(_ *rig, w *Worker, free <-chan struct{}) {
			w.Handle("t", quick, nil)
			w.conns.closers = append(w.conns.closers, func() error {
				<-free
				return nil
			})
		}, says: "closing the connections"},
	} {
		for _, drain := range []time.Duration{time.Second, 25 * time.Second} {
			t.Run(fmt.Sprint(name, ", ", drain), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					took, err := hangingRun(t, c.hangs, drain, func(call faulty.Call) faulty.Fault {
						if c.calls != nil && time.Since(began) > 30*time.Second && c.calls(call) {
							return faulty.Fault{Delay: 24 * time.Hour}
						}
						return faulty.Fault{}
					})
					if most := drain + 5*time.Second; took > most {
						t.Errorf("it took %v, want at most %v: %v", took, most, err)
					}
					if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !errors.Is(err, consumer.ErrDrainIncomplete)) {
						t.Errorf("%v, want one that says %q", err, c.says)
					}
					if c.not != "" && strings.Contains(err.Error(), c.not) {
						t.Errorf("%v, want none that says %q", err, c.not)
					}
				})
			})
		}
	}
}
