package worker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
)

// TestResumedSubscriptionIsNotReportedAsPausedByTheServer: what the bus said while the group was
// paused does not outlive the pause.
func TestResumedSubscriptionIsNotReportedAsPausedByTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0)
		sub, err := consumer.SubscribeExactlyOnce(t.Context(), r.bus, "t", "g", r.store, func(context.Context, bus.Event) error { return nil }, nil)
		must(t, err)
		s := newMemberSubscription(runningSubscription{topic: "t", options: &consumer.Options{Concurrency: 16}, sub: sub})
		m := &membership{subs: []*memberSubscription{s}}
		describe := func() (state, why string) {
			d := m.describe()[0]
			return d.State, d.Why
		}
		m.applyPauses([]group.Paused{{By: "test"}})
		s.lag.PausedFor = time.Hour // as the server shows it as well
		if state, why := describe(); state != statePaused || !strings.HasPrefix(why, "by test, since ") {
			t.Errorf("while it is paused: %s, %q", state, why)
		}
		m.applyPauses(nil)
		if state, why := describe(); state != stateRunning || why != "" {
			t.Errorf("after it was resumed: %s, %q", state, why)
		}
		s.lag.PausedFor = time.Hour // by the nats command
		if state, why := describe(); state != statePaused || why != "by nats, for another 1h0m0s: see nats consumer info" {
			t.Errorf("paused on the server: %s, %q", state, why)
		}
		must(t, sub.Drain(t.Context()))
	})
}
