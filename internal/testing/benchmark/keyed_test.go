package benchmark

import (
	"fmt"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// keyedTopic has the same events as topic, and they have keys.
const keyedTopic = "order.keyed"

// A backlog of one key is handled one by one, by one round trip to MongoDB or two each:
// it is shorter.
const perMongoKey = perMongoRound / 10

// BenchmarkKeyedMemory: a keyed backlog on JetStream and the memory store, against the same backlog
// without keys at the same exposure. Wanted is at least half of its rate.
func BenchmarkKeyedMemory(b *testing.B) {
	keyed(b, perRound, perRound, func(b *testing.B) dedupe.Store {
		store, err := memdedupe.New(nil)
		must(b, err)
		return store
	})
}

// BenchmarkKeyedMongo is the same on MongoDB.
func BenchmarkKeyedMongo(b *testing.B) {
	keyed(b, perMongoKey, perMongoRound, func(b *testing.B) dedupe.Store {
		store, err := mongodedupe.New(b.Context(), mongotest.Collection(b), nil)
		must(b, err)
		return store
	})
}

// keyed measures one key, of which one event runs at a time, against a concurrency of 1, and more
// keys against their own concurrency.
func keyed(b *testing.B, ofOneKey, ofMore int, open func(*testing.B) dedupe.Store) {
	for _, c := range []struct {
		events, keys, concurrency, baseline int
	}{
		{ofOneKey, 1, 16, 1},
		{ofOneKey, 1, 256, 1},
		{ofMore, 300, 16, 16},
		{ofMore, 300, 256, 256},
		{ofMore, ofMore, 16, 16},
		{ofMore, ofMore, 256, 256},
	} {
		name := fmt.Sprintf("keys=%d/concurrency=%d/unkeyed-concurrency=%d", c.keys, c.concurrency, c.baseline)
		b.Run(name, func(b *testing.B) {
			r := newRig(b)
			must(b, r.bus.Provision(b.Context(), keyedTopic))
			r.fill(c.events)
			r.fillKeyed(c.events, c.keys)
			var sum rates
			for b.Loop() {
				sum.baseline += r.handle(topic, c.events, c.baseline, open(b))
				sum.ours += r.handle(keyedTopic, c.events, c.concurrency, open(b))
				sum.events += c.events
			}
			sum.report(b, "unkeyed")
		})
	}
}

// fillKeyed publishes so many events, whose keys take turns.
func (r *rig) fillKeyed(events, keys int) {
	r.b.Helper()
	es := make([]bus.Event, events)
	for i := range es {
		es[i] = r.event(i)
		es[i].Topic, es[i].Key = keyedTopic, fmt.Sprintf("customer-%d", i%keys)
	}
	_, err := r.bus.Publish(r.b.Context(), es...)
	must(r.b, err)
}
