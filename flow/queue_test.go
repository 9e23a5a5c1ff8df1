package flow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
)

func newQueue(t *testing.T, l flow.Limiter, maxWaiting int, maxWait time.Duration) *flow.Queue {
	t.Helper()
	q, err := flow.NewQueue(l, maxWaiting, maxWait)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, newLocal(t, flow.Rate{Limit: 1, Per: time.Second}, nil), 2, time.Minute)
		var all sync.WaitGroup
		for range 3 { // one starts, two wait
			all.Go(func() {
				if err := q.Wait(t.Context(), "", 1); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		begin := time.Now()
		err := q.Wait(t.Context(), "", 1)
		refused, ok := errors.AsType[*flow.RefusedError](err)
		if !errors.Is(err, flow.ErrQueueFull) || !ok || refused.RetryAfter != time.Second || time.Since(begin) != 0 || q.Waiting() != 2 {
			t.Errorf("%v after %v, while %d wait", err, time.Since(begin), q.Waiting())
		}
		all.Wait()
		if q.Waiting() != 0 {
			t.Errorf("%d still wait", q.Waiting())
		}
	})
}

func TestQueueRefusesWhatWouldWaitTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, flow.Rate{Limit: 1, Per: time.Hour}, nil)
		q := newQueue(t, l, 10, time.Minute)
		if err := q.Wait(t.Context(), "", 1); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := q.Wait(t.Context(), "", 1); !errors.Is(err, flow.ErrWaitTooLong) || time.Since(begin) != 0 || q.Waiting() != 0 {
			t.Errorf("%v after %v, while %d wait", err, time.Since(begin), q.Waiting())
		}
		why := errors.New("given up")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := q.Wait(ctx, "", 1); !errors.Is(err, why) {
			t.Errorf("%v, want the cause", err)
		}
	})
}

// A waiter that loses each start to others is let go when its time is over.
func TestQueueEndsAWaitThatOthersProlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, flow.Rate{Limit: 1, Per: time.Second}, nil)
		q := newQueue(t, l, 10, 3500*time.Millisecond)
		startable(t, l, "")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var others sync.WaitGroup
		others.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
				if err := l.CloseFor(ctx, "", 2*time.Millisecond); err != nil {
					t.Error(err)
				}
			}
		})
		begin := time.Now()
		err := q.Wait(t.Context(), "", 1)
		if d := time.Since(begin); !errors.Is(err, flow.ErrWaitTooLong) || d > 3500*time.Millisecond {
			t.Errorf("%v after %v", err, d)
		}
		cancel()
		others.Wait()
	})
}

func TestQueueNamesInvalidSettings(t *testing.T) {
	t.Parallel()
	l := newLocal(t, flow.Rate{Limit: 1, Per: time.Second}, nil)
	for what, f := range map[string]func() (*flow.Queue, error){
		"no limiter": func() (*flow.Queue, error) { return flow.NewQueue(nil, 1, time.Second) },
		"nobody":     func() (*flow.Queue, error) { return flow.NewQueue(l, 0, time.Second) },
		"no time":    func() (*flow.Queue, error) { return flow.NewQueue(l, 1, 0) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
