package consumertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/onceish/onceish/bus"
)

// TestDeadProcessReachesNothing until the run is over, and then gets an error: neither does it make
// a call, nor see the answer of one during which it died.
func TestDeadProcessReachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Kit{}.newScenario(func(context.Context, bus.Event) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		w, err := newWorld(s, point{})
		if err != nil {
			t.Fatal(err)
		}
		before, during := &process{world: w}, &process{world: w}
		before.crash()
		<-w.halted
		errs := make(chan error, 2)
		go func() {
			_, err := (&processBus{before, w.bus}).Publish(t.Context(), bus.Event{ID: "1", Topic: "order.placed"})
			errs <- err
		}()
		go func() {
			_, err := guardCall(during, bus.ErrClosed, func() (int, error) {
				during.crash()
				return 1, nil
			})
			errs <- err
		}()
		synctest.Wait()
		if len(errs) != 0 {
			t.Errorf("a dead process got %v", <-errs)
		}
		info, err := w.bus.Topic(t.Context(), "order.placed", "", bus.Start{})
		if err != nil || info.Last.Sequence != 0 {
			t.Errorf("a dead process has published: %+v, %v", info, err)
		}
		close(w.released)
		for range 2 {
			if err := <-errs; !errors.Is(err, bus.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
		}
	})
}
