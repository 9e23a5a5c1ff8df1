package backoff

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDoubled(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]time.Duration{-1: 1, 0: 1, 1: 2, 2: 4, 3: 8, 4: 10, 1000: 10} {
		if got := Doubled(1, times, 10); got != want {
			t.Errorf("doubled %d times: %d, want %d", times, got, want)
		}
	}
	if got := Doubled(20, -1, 10); got != 10 {
		t.Errorf("a base over the limit: %d, want 10", got)
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %v, want a minute", err, time.Since(began))
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		if err := Sleep(ctx, time.Minute); !errors.Is(err, why) {
			t.Errorf("after the end of ctx: %v, want its cause", err)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signal := make(chan struct{}, 1)
		signal <- struct{}{}
		if !Wait(t.Context(), signal, time.Minute) {
			t.Error("a signal is not reported")
		}
		began := time.Now()
		if Wait(t.Context(), signal, time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("without a signal it waited for %v", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if Wait(ctx, nil, time.Minute) || time.Since(began) != time.Minute {
			t.Error("the end of ctx does not end it")
		}
	})
}
