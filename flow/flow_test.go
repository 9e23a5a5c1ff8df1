package flow_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSwitchHoldsBackWhileItIsShut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s flow.Switch
		if _, err := s.Enter(t.Context()); err != nil {
			t.Fatalf("the zero Switch is not open: %v", err)
		}
		s.Shut()
		s.Shut()
		var entered atomic.Int32
		for range 3 {
			go func() {
				if leave, err := s.Enter(t.Context()); err == nil {
					leave(nil)
					entered.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := entered.Load(); n != 0 {
			t.Errorf("%d entered through a shut gate", n)
		}
		s.Open()
		s.Open()
		synctest.Wait()
		if n := entered.Load(); n != 3 {
			t.Errorf("%d of 3 entered once it was open", n)
		}
	})
}

func TestSwitchLetsGoOfWhoseContextEnds(t *testing.T) {
	t.Parallel()
	var s flow.Switch
	s.Shut()
	why := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if leave, err := s.Enter(ctx); !errors.Is(err, why) || leave != nil {
		t.Errorf("got %v", err)
	}
}

func TestRateSpreadsStartsAfterItsBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := flow.NewRate(10, 3)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for i := range 23 {
			if err := r.Wait(t.Context(), "", 1); err != nil {
				t.Fatal(err)
			}
			if took, want := time.Since(begun), time.Duration(max(0, i-2))*100*time.Millisecond; took != want {
				t.Fatalf("start %d came after %v, want %v", i+1, took, want)
			}
		}
		time.Sleep(time.Hour) // it saves up no more than its burst
		begun = time.Now()
		if err := r.Wait(t.Context(), "", 5); err != nil || time.Since(begun) != 200*time.Millisecond {
			t.Errorf("five starts after a rest took %v: %v", time.Since(begun), err)
		}
	})
}

func TestRateLetsGoOfWhoseContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := flow.NewRate(1, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := r.Wait(ctx, "", 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := r.Wait(ctx, "", 1); err == nil {
			t.Error("starts under a context that has ended")
		}
	})
}

func TestRateIsNotUsedUpByWhoGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := flow.NewRate(0.1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(t.Context(), "", 1); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := r.Wait(ctx, "", 1); err == nil {
				t.Error("started too soon")
			}
			cancel()
		}
		begun := time.Now()
		if err := r.Wait(t.Context(), "", 1); err != nil || time.Since(begun) > 10*time.Second {
			t.Errorf("waited %v after others had given up: %v", time.Since(begun), err)
		}
	})
}

func TestRateRefusesNonsense(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []float64{0, -1, 2e9, math.NaN(), math.Inf(1)} {
		if _, err := flow.NewRate(perSecond, 1); err == nil {
			t.Errorf("a rate of %v is taken", perSecond)
		}
	}
	if _, err := flow.NewRate(1, 0); err == nil {
		t.Error("a burst of 0 is taken")
	}
}
