package acceptance

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestOneIDOnManyTopicsOfOneStream: with the same payload on two topics, twice given up by two
// groups, and on the dead-letter topic itself. JetStream would take all of them for one message.
func TestOneIDOnManyTopicsOfOneStream(t *testing.T) {
	t.Parallel()
	onStoresOf(t, func(t *testing.T) *rig {
		t.Helper()
		server := natstest.Start(t, nil)
		r := rigOn(t, server.URL(), &natsbus.Provision{Name: "all", Subjects: []string{"order.>", "dead.>"}})
		r.server = server
		return r
	}, func(r *rig) {
		handler := func(_ context.Context, e bus.Event) error {
			if strings.HasPrefix(e.Topic, "order.bad") {
				return consumer.Permanent(errors.New("no"))
			}
			r.ledger.say("effect", "local", e.Topic)
			return nil
		}
		billing := r.subscribe(setup{Topic: "order.*", Handler: handler, Options: longLeases})
		shipping := r.subscribe(setup{Topic: "order.*", Group: "shipping", Handler: handler, Options: longLeases})
		ids := make(map[string]bool)
		for _, topic := range []string{"order.placed", "order.paid", "order.bad-1", "order.bad-2", "dead.billing"} {
			r.publish(bus.Event{ID: "1", Topic: topic, Data: []byte("{}")})
		}
		r.settledFor("billing", "order.*")
		r.settledFor("shipping", "order.*")
		r.ended(billing)
		r.ended(shipping)
		for _, topic := range []string{"order.placed", "order.paid"} {
			if n := r.ledger.count("effect", "", topic); n != 2 {
				r.t.Errorf("%d effects in two groups of the event on %s", n, topic)
			}
		}
		plain := 0
		for _, e := range r.read("dead.billing") {
			l, err := consumer.ParseLetter(e)
			if err != nil {
				plain++
				continue
			}
			ids[l.Group+" "+l.Event.Topic+" "+l.Event.ID] = true
		}
		if plain != 1 || len(ids) != 4 {
			r.t.Errorf("on the dead-letter topic are %d plain events, and letters of %v", plain, ids)
		}
	})
}
