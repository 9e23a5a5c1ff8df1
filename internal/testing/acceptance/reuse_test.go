package acceptance

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

// TestOneIDWithTwoPayloads: whatever has become of the first, the second never has its effect, and
// is dead-lettered once.
func TestOneIDWithTwoPayloads(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first string // step of the first payload, before its effect
		until func(r *rig, s *local)
	}{
		"the first was handled": {"0s", func(r *rig, _ *local) { r.settled() }},
		"the first is running":  {"500ms", func(r *rig, _ *local) { r.ledger.await(r.t, 1, "start", "", "1") }},
		"the first has failed": {"fail@1", func(r *rig, s *local) {
			r.eventually("it has failed", func() bool { return s.Stats().Failed == 1 })
		}},
		"the first is dead": {"permanent", func(r *rig, _ *local) { r.settled() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStores(t, func(r *rig) {
				a, b := event("1", c.first, "effect"), event("1", "effect-b")
				s := r.subscribe(setup{Options: longLeases})
				r.publish(a)
				c.until(r, s)
				r.publish(b)
				r.settled()
				r.again(b, a, b)
				r.settled()
				r.ended(s)
				effects := 1
				if c.first == "permanent" {
					effects = 0
				}
				r.chose(effects, 0, b)
			})
		})
	}
}

// TestOneIDWithTwoPayloadsAtOnce: in a race of two workers one of them wins, and stays the one.
func TestOneIDWithTwoPayloadsAtOnce(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		var es []bus.Event
		for i := range 20 {
			pair := []bus.Event{event(fmt.Sprint(i), "effect-a"), event(fmt.Sprint(i), "effect-b")}
			es = append(es, pair[i%2], pair[1-i%2])
		}
		r.publish(es...)
		one, other := r.subscribe(setup{Name: "one", Options: longLeases}), r.subscribe(setup{Name: "other", Options: longLeases})
		r.settled()
		r.again(es...)
		r.settled()
		r.ended(one)
		r.ended(other)
		reused := make(map[string]string)
		for _, l := range r.letters() {
			if reused[l.Event.ID] != "" || !strings.HasPrefix(l.Reason, "id_reused") {
				r.t.Errorf("event %s has another letter: %s", l.Event.ID, l.Reason)
			}
			reused[l.Event.ID] = string(l.Event.Data)
		}
		for i := range 20 {
			id := fmt.Sprint(i)
			a, b := r.ledger.count("effect-a", "", id), r.ledger.count("effect-b", "", id)
			if a+b != 1 || strings.Contains(reused[id], "effect-a") != (b == 1) || strings.Contains(reused[id], "effect-b") != (a == 1) {
				r.t.Errorf("event %s: %d and %d effects of its payloads, dead-lettered is %s", id, a, b, reused[id])
			}
		}
	})
}

// TestOneIDWithTwoPayloadsOverACrash: the process of the first dies with it. Whichever is delivered
// next, the first is the one.
func TestOneIDWithTwoPayloadsOverACrash(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		a, b := event("1", "die@killed", "effect"), event("1", "effect-b")
		killed := r.start("killed", script{Concurrency: 1})
		r.publish(a)
		killed.awaitGone()
		r.publish(b)
		heir := r.run("heir", 4)
		r.settled()
		r.again(b, a, b)
		r.settled()
		heir.stop()
		r.chose(1, 0, b)
	})
}

// chose checks how often the two payloads of event 1 had their effects, and that one of them was
// dead-lettered, once.
func (r *rig) chose(a, b int, reused bus.Event) {
	r.t.Helper()
	if na, nb := r.ledger.count("effect", "", "1"), r.ledger.count("effect-b", "", "1"); na != a || nb != b {
		r.t.Errorf("%d effects of the first payload and %d of the second, want %d and %d", na, nb, a, b)
	}
	n := 0
	for _, l := range r.letters() {
		if strings.HasPrefix(l.Reason, "id_reused") {
			n++
			if l.Event.ID != "1" || !bytes.Equal(l.Event.Data, reused.Data) {
				r.t.Errorf("dead-lettered is %s with %s", l.Event.ID, l.Event.Data)
			}
		}
	}
	if n != 1 {
		r.t.Errorf("%d letters of the payload whose id was reused", n)
	}
}

// again publishes events once more, such that the bus takes none for a duplicate.
func (r *rig) again(es ...bus.Event) {
	r.t.Helper()
	for i, e := range es {
		r.publish(e.WithControl(bus.Control{Redriven: fmt.Sprint(r.ledger.count("", "", ""), "-", i)}))
	}
}
