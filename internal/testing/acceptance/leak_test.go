package acceptance

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/nats-io/nats.go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// TestManyCyclesLeaveNothing: subscribed and drained over and over, on clients that stay and on
// clients that go. Not parallel: the goroutines are counted.
func TestManyCyclesLeaveNothing(t *testing.T) {
	for name, stay := range map[string]bool{"on clients that stay": true, "on clients that go": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p, url := proxied(t, r.url)
			q, uri := proxied(t, mongotest.URI(t))
			r.url, r.mongo, r.db = url, uri, mongotest.Database(t).Name()
			var cs []*clients
			for range many("", 8) {
				cs = append(cs, &clients{})
			}
			counts := func() [3]int { return [3]int{runtime.NumGoroutine(), p.Links() + q.Links(), r.server.Subscriptions()} }
			r.cycle(cs, "warm-up", stay)
			if !stay {
				r.eventually("what was closed is gone", func() bool { return p.Links()+q.Links() == 0 })
			}
			before := counts()
			for i := range 3 {
				r.cycle(cs, fmt.Sprint("cycle", i), stay)
			}
			now := counts()
			defer func() {
				t.Logf("goroutines, connections, subscriptions after one cycle: %v, after four: %v", before, now)
			}()
			r.eventually("there are no more goroutines, connections and subscriptions than after the first cycle", func() bool {
				now = counts()
				return now[0] <= before[0] && now[1] <= before[1] && now[2] <= before[2]
			})
			for _, c := range cs {
				c.close(r)
			}
			for id, n := range r.effects("") {
				if n != len(cs) {
					t.Errorf("event %s had %d effects in %d groups", id, n, len(cs))
				}
			}
		})
	}
}

// cycle has a group per client subscribe, handle ten events, and drain, half of them with their
// marks on NATS.
func (r *rig) cycle(cs []*clients, name string, stay bool) {
	r.t.Helper()
	var subs []*consumer.Subscription
	effects := r.ledger.count("effect", "", "")
	for i, c := range cs {
		if c.nats == nil {
			c.open(r, i%2 == 0)
		}
		b, err := natsbus.New(c.nats, &natsbus.Options{Logger: r.logger()})
		must(r.t, err)
		defer b.Close() //nolint:gocritic,revive // all of them, at the end of the cycle
		s := setup{}
		sub, err := consumer.SubscribeExactlyOnce(r.t.Context(), b, "order.placed", fmt.Sprint("group-", i), c.store,
			func(ctx context.Context, e bus.Event) error { return perform(ctx, e, "local", r.ledger.say) }, s.options(r))
		must(r.t, err)
		subs = append(subs, sub)
	}
	r.publish(many(name+"-", 10, "effect")...)
	r.ledger.await(r.t, effects+10*len(cs), "effect", "", "")
	for _, sub := range subs {
		_, stop := sub.Actor()
		stop(nil) // all of them at once
	}
	for _, sub := range subs {
		r.ended(&local{Subscription: sub})
	}
	for _, c := range cs {
		if !stay {
			c.close(r)
		}
	}
}

// clients are what a process of a user opens, and closes in the end.
type clients struct {
	nats  *nats.Conn
	mongo *mongo.Client // nil: marks go to the key-value store
	kv    *kvdedupe.Store
	store dedupetest.Inner
}

func (c *clients) open(r *rig, kv bool) {
	r.t.Helper()
	var err error
	c.nats, err = nats.Connect(r.url)
	must(r.t, err)
	if kv {
		c.kv, err = kvdedupe.New(r.t.Context(), c.nats, nil)
		must(r.t, err)
		c.store = c.kv
		return
	}
	c.mongo, err = mongo.Connect(options.Client().ApplyURI(r.mongo).SetMaxPoolSize(1)) // a pool that is filled at once
	must(r.t, err)
	c.store, err = mongodedupe.New(r.t.Context(), c.mongo.Database(r.db).Collection("dedupe"), nil)
	must(r.t, err)
}

func (c *clients) close(r *rig) {
	r.t.Helper()
	if c.kv != nil {
		must(r.t, c.kv.Close())
	}
	if c.mongo != nil {
		must(r.t, c.mongo.Disconnect(context.Background()))
	}
	if c.nats != nil {
		c.nats.Close()
	}
	*c = clients{}
}
