package export

import (
	"testing"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/telemetry"
)

// A consumer that somebody has paused on the server is paused, as far as its lag is known.
func TestConsumerPausedOnTheServerIsPaused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lag    consumer.Lag
		known  bool
		paused bool
		events int64
	}{
		"paused":  {consumer.Lag{Pending: 2, Unsettled: 1, PausedFor: time.Minute}, true, true, 3},
		"running": {consumer.Lag{Pending: 2}, true, false, 2},
		"unknown": {consumer.Lag{Pending: 2, PausedFor: time.Minute}, false, false, telemetry.Unknown},
	} {
		s := stateOf(worker.Snapshot{Subscriptions: []worker.SubscriptionSnapshot{{Lag: c.lag, LagKnown: c.known}}}).Subscriptions[0]
		if s.Paused != c.paused || s.Lag != c.events {
			t.Errorf("%s: paused %v, lag %d", name, s.Paused, s.Lag)
		}
	}
}
