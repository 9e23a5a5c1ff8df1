package flow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

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
