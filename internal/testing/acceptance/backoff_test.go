package acceptance

import (
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// TestEventsThatBackOffDoNotStopOthers: ten times as many events as the group's bound wait an hour
// for their next attempt. What is published behind them is handled, by two processes that raise the
// limit at the same time, and by others that were started afterwards.
func TestEventsThatBackOffDoNotStopOthers(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		const bound, dead, healthy = 50, 150, 60
		publish := func(round string, n int, steps ...string) {
			var es []bus.Event
			for i := range n {
				es = append(es, event(fmt.Sprintf("%s-%d", round, i), steps...))
			}
			r.publish(es...)
		}
		run := func(name string) *process {
			p := r.start(name, script{Concurrency: 20, MaxUnsettled: bound})
			r.ledger.await(t, 1, "ready", name, "")
			return p
		}
		first, second := run("first"), run("second")
		publish("dead", dead, "retry later")
		publish("before", healthy, "effect")
		began := time.Now()
		r.ledger.await(t, healthy, "effect", "", "")
		t.Logf("%d events were handled %v after %d others failed", healthy, time.Since(began), dead)
		first.stop()
		second.stop()
		run("third")
		publish("after", healthy, "effect")
		began = time.Now()
		r.ledger.await(t, 2*healthy, "effect", "", "")
		t.Logf("%d events were handled %v after a restart", healthy, time.Since(began))
		if n := r.ledger.count("start", "", ""); n != dead+2*healthy {
			t.Errorf("%d runs; want %d: each event once", n, dead+2*healthy)
		}
	})
}
