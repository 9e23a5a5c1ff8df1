package consumer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/flow"
)

// slowLimit lets nothing start at the first try, and everything a second later.
type slowLimit struct{ asked map[string]bool }

func (l *slowLimit) Allow(_ context.Context, key string, _ int) (flow.Decision, error) {
	if !l.asked[key] {
		l.asked[key] = true
		return flow.Decision{RetryAfter: time.Second}, nil
	}
	return flow.Decision{Allowed: true}, nil
}

// TestKeysThatWaitedAreForgotten: whoever waits all the time, what has started takes no memory.
func TestKeysThatWaitedAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, err := (&Options{Limit: &slowLimit{asked: map[string]bool{}}, LimitKey: func(e bus.Event) string { return e.ID }}).WithDefaults("g")
		if err != nil {
			t.Fatal(err)
		}
		l := newStartLimit(o, "t")
		l.waiting = 1 // another one, all the time
		for i := range 1000 {
			if _, err := l.wait(t.Context(), bus.Event{ID: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if len(l.until) > 0 || l.waiting != 1 {
			t.Errorf("%d keys are remembered, and %d wait", len(l.until), l.waiting)
		}
	})
}
