package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// rig is a bus with a few events, and a store.
type rig struct {
	bus   *membus.Bus
	store *memdedupe.Store
	log   bytes.Buffer
}

func newRig(t *testing.T, events int) *rig {
	t.Helper()
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{bus: b, store: s}
	for i := range events {
		if _, err := b.Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *rig) worker(t *testing.T, o Options) *Worker {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(&r.log, nil))
	w, err := New("g", Over(r.bus, r.store), &o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (r *rig) run(ctx context.Context, t *testing.T, h consumer.Handler, o Options, actors ...Actor) error {
	t.Helper()
	w := r.worker(t, o)
	w.Handle("t", h, nil)
	for _, a := range actors {
		w.Add(a)
	}
	return w.Run(ctx)
}

func TestRunUntilEmptyWaitsForRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		var runs atomic.Int64
		err := r.run(t.Context(), t, func(ctx context.Context, e bus.Event) error {
			runs.Add(1)
			if e.ID == "1" && consumer.AttemptFrom(ctx).Number < 3 {
				return errors.New("not yet")
			}
			return nil
		}, Options{UntilEmpty: true})
		if err != nil || runs.Load() != 5 {
			t.Errorf("%d runs, %v, want 5", runs.Load(), err)
		}
	})
}

var errActor = errors.New("the actor's own")

func TestRunEndsWithAnActor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		handled := make(chan struct{})
		stopped := false
		err := r.run(t.Context(), t, func(context.Context, bus.Event) error {
			close(handled)
			return nil
		}, Options{}, Actor{
			Name: "sidekick", Stop: func(error) { stopped = true },
			Run: func() error { <-handled; return errActor },
		})
		if !errors.Is(err, errActor) || !stopped || !strings.Contains(r.log.String(), `msg="sidekick ended" error="the actor's own"`) {
			t.Errorf("%v, stopped: %v\n%s", err, stopped, &r.log)
		}
		if ExitStatus(err) != 1 {
			t.Errorf("exit status %d", ExitStatus(err))
		}
	})
}

func TestRunDrainsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		finished := false
		err := r.run(ctx, t, func(ctx context.Context, _ bus.Event) error {
			cancel()
			time.Sleep(10 * time.Second)
			finished = ctx.Err() == nil
			return nil
		}, Options{})
		if err != nil || !finished {
			t.Errorf("%v, the handler finished: %v", err, finished)
		}
	})
}

func TestRunInAHurryCountsNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		hurry := make(chan struct{})
		err := r.run(t.Context(), t, func(ctx context.Context, _ bus.Event) error {
			close(hurry)
			<-ctx.Done()
			return fmt.Errorf("cut off: %w", context.Cause(ctx))
		}, Options{ForceStop: hurry})
		if !errors.Is(err, consumer.ErrDrainIncomplete) || ExitStatus(err) != 3 {
			t.Errorf("%v, want %v", err, consumer.ErrDrainIncomplete)
		}
		var attempt int
		if err := r.run(t.Context(), t, func(ctx context.Context, _ bus.Event) error {
			attempt = consumer.AttemptFrom(ctx).Number
			return nil
		}, Options{UntilEmpty: true}); err != nil || attempt != 1 {
			t.Errorf("attempt %d, %v\n%s", attempt, err, &r.log)
		}
	})
}

func TestRunRefusesWhatTheConsumerRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 0)
	if err := r.run(t.Context(), t, nil, Options{}); err == nil {
		t.Error("ran without a handler")
	}
}

// forgetful is a store that has given every claim to somebody else when it is settled.
type forgetful struct{ *memdedupe.Store }

var _ dedupe.Claimer = forgetful{}

func (forgetful) Settle(_ context.Context, ss []dedupe.Settlement) ([]error, error) {
	return slices.Repeat([]error{dedupe.ErrSuperseded}, len(ss)), nil
}

func TestDrainedCountsLostClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		w, err := New("g", Over(r.bus, forgetful{r.store}), &Options{Logger: slog.New(slog.NewTextHandler(&r.log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		w.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
		if !strings.Contains(r.log.String(), "msg=drained topic=t handled=0 duplicates=0 failed=0 deferred=0 dead=0 skipped=0 dropped=0 lost=3") {
			t.Errorf("%s", &r.log)
		}
	})
}

// What has ended a worker, and then cannot be closed, is said once: the last line of a log says why
// the worker ended.
func TestRunSaysOnceWhatEndedIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newRig(t, 0).worker(t, Options{})
		w.Add(Actor{Name: "sidekick", Run: func() error { return errActor }, Stop: func(error) {}})
		w.Defer(func() error { return errActor })
		w.Defer(func() error { return errActor })
		if err := w.Run(t.Context()); err == nil || err.Error() != errActor.Error() {
			t.Errorf("%v, want %v", err, errActor)
		}
	})
}

// TestRunDeadLettersWhatTheStreamDrops: an event that the stream has dropped while it waited for
// its retry is dead-lettered from memory, and a worker that runs until all is empty waits for that.
func TestRunDeadLettersWhatTheStreamDrops(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3)
	h := func(_ context.Context, e bus.Event) error {
		if e.ID != "1" {
			return nil
		}
		if err := r.bus.Delete("events", 2); err != nil {
			t.Error(err)
		}
		return errors.New("no")
	}
	w := r.worker(t, Options{UntilEmpty: true})
	w.Handle("t", h, &consumer.Options{Lease: time.Second, AckWait: time.Second, TTL: time.Hour, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Second}})
	if err := w.Run(t.Context()); !errors.Is(err, ErrUndone) {
		t.Errorf("Run: %v; want ErrUndone", err)
	}
	if log := r.log.String(); !strings.Contains(log, "event dead-lettered") || !strings.Contains(log, "dead=1") {
		t.Errorf("logged:\n%s", log)
	}
}
