package acceptance

import (
	"fmt"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// TestWorkerKilledAtEachStep: the event of a killed worker runs again only if its effect was made
// and not yet marked.
func TestWorkerKilledAtEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []struct {
		name    string
		die     death
		steps   []string // of the event that is in hand
		effects int      // that it has
	}{
		{"after the fetch", death{At: faulty.Claim}, []string{"effect"}, 1},
		{"after the claim", death{At: faulty.Claim, After: true}, []string{"effect"}, 1},
		{"in the handler, before the effect", death{}, []string{"die@killed", "effect"}, 1},
		{"in the handler, after the effect", death{}, []string{"effect", "die@killed"}, 2},
		{"before the mark", death{At: faulty.Settle}, []string{"effect"}, 2},
		{"after the mark", death{At: faulty.Settle, After: true}, []string{"effect"}, 1},
		{"before the ack", death{At: faulty.Ack}, []string{"effect"}, 1},
		{"after the ack", death{At: faulty.Ack, After: true}, []string{"effect"}, 1},
	} {
		t.Run(step.name, func(t *testing.T) {
			onStores(t, func(r *rig) {
				alone := r.start("killed", script{Concurrency: 4, Die: step.die})
				r.publish(event("only", step.steps...))
				alone.awaitGone()
				other := r.run("other", 4)
				r.settled()
				if n := r.ledger.count("effect", "", "only"); n != step.effects {
					t.Errorf("%d effects, want %d", n, step.effects)
				}
				ready := r.ledger.count("ready", "killed", "")
				beside := r.start("killed", script{Concurrency: 4, Die: step.die})
				r.ledger.await(r.t, ready+1, "ready", "killed", "") // or the other worker handles everything before
				var es []bus.Event
				for i := range 40 {
					es = append(es, event(fmt.Sprintf("many-%d", i), append([]string{"20ms"}, step.steps...)...))
				}
				r.publish(es...)
				beside.awaitGone()
				r.settled()
				other.stop()
				r.unlost("many-", 40, "killed")
			})
		})
	}
}

// unlost checks that each of n events had its effect, and again only if it first had it in a
// process that was killed.
func (r *rig) unlost(prefix string, n int, killed string) {
	r.t.Helper()
	effects := r.effects(prefix)
	if len(effects) != n {
		r.t.Errorf("%d of %d events had their effect", len(effects), n)
	}
	for id, times := range effects {
		if extra := times - 1; extra > r.ledger.count("effect", killed, id) {
			r.t.Errorf("event %s had its effect %d times, %d of them in the worker that was killed", id, times, r.ledger.count("effect", killed, id))
		}
	}
}
