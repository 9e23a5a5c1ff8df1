package acceptance

import (
	"strings"
	"testing"

	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// TestNATSRestartedUnderLoad: what the stream still has is handled, once. Only marks that were
// set back with the server's store, to a copy made as it ran, let what was in hand or handled by
// then run again.
func TestNATSRestartedUnderLoad(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make    func(t *testing.T) *rig
		restart func(r *rig)
		setBack bool
	}{
		"in order": {newRig, func(r *rig) {
			r.server.Stop()
			r.server.Start(r.t)
		}, false},
		"killed": {newRigInProcess, func(r *rig) {
			r.process.Kill()
			r.process.Start(r.t)
		}, false},
		"set back to a copy made as it ran": {newRig, func(r *rig) {
			r.server.Kill(r.t)
			r.server.Start(r.t)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStoresOf(t, c.make, func(r *rig) {
				s := r.subscribe(setup{})
				wait := r.load(many("old-", 600, "effect", "2ms"))
				r.ledger.await(r.t, 100, "effect", "", "")
				c.restart(r)
				wait()
				r.load(many("new-", 200, "effect"))()
				r.settled()
				r.ended(s)
				r.once("new-", 200)
				effects := r.effects("old-")
				for id := range r.stored("order.placed") {
					if effects[id] == 0 && strings.HasPrefix(id, "old-") {
						r.t.Errorf("event %s had no effect", id)
					}
				}
				allowed := 1
				if r.mongo == "" && c.setBack {
					allowed = 2
				}
				for id, n := range effects {
					if n > allowed {
						r.t.Errorf("event %s had its effect %d times", id, n)
					}
				}
			})
		})
	}
}

// TestNATSRestoredFromAnOlderCopy: sequences are used again, and the events there are new ones.
// What was handled after the copy was made comes again: marks in MongoDB know it, those that were
// restored with it do not.
func TestNATSRestoredFromAnOlderCopy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		running, deleted bool
	}{
		{"under a running group", true, false},
		{"under a group that is down", false, false},
		{"and the consumer deleted", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onStores(t, func(r *rig) {
				s := r.subscribe(setup{})
				r.publish(many("before-", 100, "effect")...)
				r.settled()
				s.Pause()
				r.publish(many("between-", 100, "effect")...)
				r.server.Stop()
				older := r.server.Copy(r.t)
				r.server.Start(r.t)
				s.Resume()
				r.settled()
				r.publish(many("lost-", 100, "effect")...)
				r.settled()
				if !c.running {
					r.ended(s)
				}
				r.server.Stop()
				r.server.Restore(r.t, older)
				r.server.Start(r.t)
				if c.deleted {
					r.deleteConsumer()
				}
				r.load(many("new-", 150, "effect"))()
				if !c.running {
					s = r.subscribe(setup{})
				}
				r.settled()
				r.ended(s)
				r.once("before-", 100)
				r.once("lost-", 100)
				r.once("new-", 150)
				if r.mongo != "" {
					r.once("between-", 100)
				}
				for id, n := range r.effects("between-") {
					if n > 2 {
						r.t.Errorf("event %s had its effect %d times", id, n)
					}
				}
			})
		})
	}
}

// stored are the events that a topic's stream has now, by id.
func (r *rig) stored(topic string) map[string]int {
	r.t.Helper()
	out := make(map[string]int)
	stream, err := r.js().Stream(r.t.Context(), natsbus.StreamName(topic))
	must(r.t, err)
	info, err := stream.Info(r.t.Context())
	must(r.t, err)
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := stream.GetMsg(r.t.Context(), seq)
		must(r.t, err)
		out[m.Header.Get("ce-id")]++
	}
	return out
}
