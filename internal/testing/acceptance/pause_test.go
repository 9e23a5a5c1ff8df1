package acceptance

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/onceish/onceish/flow"
)

// shut is a gate that lets nobody through before it is opened, and counts who has come. Every other
// one does not even hear that it need not wait any more.
type shut struct {
	came atomic.Int64
	open chan struct{}
}

func (g *shut) Enter(ctx context.Context) (func(error), error) {
	if g.came.Add(1)%2 == 0 {
		<-g.open
		return func(error) {}, nil
	}
	select {
	case <-g.open:
		return func(error) {}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// TestPauseWithHundredsClaimed: hundreds are at the gate when Pause is called, and the gate
// opens right after it. None starts; they are handled by another process, and what comes later
// after Resume.
func TestPauseWithHundredsClaimed(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		gate := &shut{open: make(chan struct{})}
		long := longLeases
		long.Concurrency, long.Gates = 300, []flow.Gate{gate}
		paused := r.subscribe(setup{Name: "paused", Options: long})
		r.publish(many("event-", 400, "effect")...)
		r.eventually("hundreds wait at the gate", func() bool { return gate.came.Load() == 300 })
		paused.Pause()
		close(gate.open)
		other := r.subscribe(setup{Name: "other", Options: longLeases})
		r.settled()
		if n := r.ledger.count("start", "paused", ""); n > 0 {
			r.t.Errorf("%d handlers started after Pause had returned", n)
		}
		r.ended(other)
		paused.Resume()
		r.publish(many("later-", 50, "effect")...)
		r.settled()
		r.ended(paused)
		r.once("event-", 400)
		r.once("later-", 50)
	})
}

// TestPauseUnderLoad: after Pause has returned, what runs finishes and nothing else starts; after
// Resume all goes on.
func TestPauseUnderLoad(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		s := r.subscribe(setup{Options: longLeases})
		r.publish(many("event-", 2000, "effect")...)
		for i := 1; i <= 3; i++ {
			r.ledger.await(r.t, 400*i, "effect", "", "")
			s.Pause()
			r.eventually("all that ran has ended", func() bool { return s.Stats().Running == 0 })
			starts := r.ledger.count("start", "", "")
			r.eventually("all is given back", func() bool { return s.Stats().InFlight == 0 })
			r.publish(many("more-", 1, "effect")...)
			if n := r.ledger.count("start", "", ""); n != starts || n >= 2000 {
				r.t.Errorf("%d handlers started in the pause, after %d of 2,000", n-starts, starts)
			}
			s.Resume()
		}
		r.settled()
		r.ended(s)
		r.once("event-", 2000)
	})
}

// TestDrainUnderLoad: of three workers one is drained and two are told to end by SIGTERM, one after
// the other under load, and another takes over: nothing is lost or repeated.
func TestDrainUnderLoad(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		drained := r.subscribe(setup{Name: "drained", Options: longLeases})
		first, second := r.run("first", 8), r.run("second", 8)
		wait := r.load(many("event-", 3000, "effect", "20ms"))
		r.ledger.await(r.t, 200, "effect", "", "")
		r.ended(drained)
		r.ledger.await(r.t, 500, "effect", "", "")
		first.stop()
		r.ledger.await(r.t, 800, "effect", "", "")
		if n := r.ledger.count("effect", "", ""); n > 2900 {
			r.t.Errorf("%d of 3,000 events are handled: there is no load", n)
		}
		second.stop()
		wait()
		last := r.run("last", 8)
		r.settled()
		last.stop()
		r.once("event-", 3000)
	})
}
