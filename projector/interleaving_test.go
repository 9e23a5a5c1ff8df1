package projector_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/projector"
)

// Another process handles an event in full between any two commands of one that handles another
// event, and then all are delivered in any way: nothing depends on it.
func TestEventIsHandledBetweenAnyTwoCommandsOfAnother(t *testing.T) {
	t.Parallel()
	events := []stored{
		{userEvent("1", "a", user{"a1", "x"}), at(1)},
		{userEvent("2", "b", user{"b2", "x"}), at(2)},
		{userEvent("3", "a", user{"a3", "x"}), at(3)},
		{userEvent("4", "b", user{"b4", "y"}), at(4)},
		{userEvent("5", "a", user{"a5", "y"}), at(5)},
		// d owns z by a stale event, and so does f own w: nobody shows them.
		{userEvent("6", "c", user{"c6", "z"}), at(6)},
		{userEvent("7", "d", user{"d7", "z"}), at(7)},
		{userEvent("8", "d", user{"d8", ""}), at(8)},
		{userEvent("9", "f", user{"f9", "w"}), at(9)},
		{userEvent("10", "e", user{"e10", "w"}), at(10)},
		{userEvent("11", "f", user{"f11", ""}), at(11)},
	}
	for _, policy := range []projector.Policy{projector.LastWins, projector.FirstWins} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			s := newInterleaving(t, policy)
			for _, pair := range [][2]int{{0, 1}, {1, 0}, {2, 1}, {1, 2}, {4, 3}, {5, 6}, {9, 8}} {
				step := 1
				for s.run(events, pair[0], pair[1], step) {
					step++
				}
			}
		})
	}
}

// interleaving is a process that is interrupted, and one that is not.
type interleaving struct {
	t      *testing.T
	policy projector.Policy
	proxy  *mongowire.Proxy
	runs   int
	site   *site
	behind *driver.Database // behind the proxy
}

func newInterleaving(t *testing.T, policy projector.Policy) *interleaving {
	t.Helper()
	s := &interleaving{t: t, policy: policy, proxy: mongowire.New(t, mongotest.URI(t)), site: newSite(t, nil)}
	s.behind = through(t, s.proxy, s.site.coll).Database()
	return s
}

// run has all events but two handled before, and the second of these after a step of the first. It
// reports whether there was such a step.
func (s *interleaving) run(events []stored, first, second, step int) bool {
	s.t.Helper()
	s.runs++
	coll := s.site.coll.Database().Collection(fmt.Sprint("c", s.runs))
	direct := projection(s.t, coll, projectUser, unique(s.policy))
	behind, err := projector.New(s.behind.Collection(coll.Name()), projectUser, unique(s.policy))
	must(s.t, err)
	for i, e := range slices.Backward(events) {
		if i != first && i != second {
			must(s.t, deliver(direct, []stored{e}))
		}
	}
	steps := 0
	s.proxy.Rewrite(func(_ string, reply bson.D) bson.D {
		if steps++; steps == step {
			if err := deliver(direct, []stored{events[second]}); err != nil {
				s.t.Error(err)
			}
		}
		return reply
	})
	must(s.t, deliver(behind, []stored{events[first]}))
	s.proxy.Rewrite(nil)
	if steps < step {
		return false
	}
	if got, want := documents(s.t, coll), reference(events, s.policy); !maps.Equal(got, want) {
		s.t.Errorf("event %d after step %d of event %d: documents %v, want %v", second+1, step, first+1, got, want)
	}
	must(s.t, coll.Drop(s.t.Context()))
	return true
}
