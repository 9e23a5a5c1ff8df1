package benchmark

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/flow"
	kvflow "github.com/onceish/onceish/flow/kv"
	mongoflow "github.com/onceish/onceish/flow/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// farAbove is a rate that does not bind.
var farAbove = flow.Rate{Limit: 10_000_000, Per: time.Second}

// BenchmarkLimit: JetStream and the memory store with a limit that does not bind, against the same
// without. Wanted is 0.95 of its rate with a local limit, and 0.9 with a shared one.
func BenchmarkLimit(b *testing.B) {
	for name, newLimit := range limits() {
		b.Run(name, func(b *testing.B) {
			r := newRig(b)
			r.fill(perRound)
			limit := newLimit(b, r, farAbove)
			var sum rates
			for b.Loop() {
				unlimited, limited := newMemoryStore(b), newMemoryStore(b)
				sum.baseline += r.handleWith(topic, perRound, unlimited, consumer.Options{})
				sum.ours += r.handleWith(topic, perRound, limited, consumer.Options{Limit: limit})
				sum.events += perRound
			}
			sum.report(b, "unlimited")
		})
	}
}

func newMemoryStore(b *testing.B) *memdedupe.Store {
	b.Helper()
	store, err := memdedupe.New(nil)
	must(b, err)
	return store
}

// limits are those of each kind, by name.
func limits() map[string]func(*testing.B, *rig, flow.Rate) flow.Limiter {
	var rows *mongo.Collection // of all limits of a benchmark
	return map[string]func(*testing.B, *rig, flow.Rate) flow.Limiter{
		"local": func(b *testing.B, _ *rig, rate flow.Rate) flow.Limiter {
			l, err := flow.NewLocal(rate, nil)
			must(b, err)
			return l
		},
		"kv": func(b *testing.B, r *rig, rate flow.Rate) flow.Limiter {
			js, err := jetstream.New(r.nc)
			must(b, err)
			store, err := kvflow.New(js, nil)
			must(b, err)
			return newShared(b, store, rate)
		},
		"mongo": func(b *testing.B, _ *rig, rate flow.Rate) flow.Limiter {
			if rows == nil {
				rows = mongotest.Collection(b)
			}
			store, err := mongoflow.New(rows, nil)
			must(b, err)
			return newShared(b, store, rate)
		},
	}
}

func newShared(b *testing.B, store flow.Store, rate flow.Rate) flow.Limiter {
	b.Helper()
	l, err := flow.NewShared(store, "benchmark", rate, nil)
	must(b, err)
	return l
}

// BenchmarkStartsPerWindow: how many of the starts that a limit of 200 per second allows begin, in
// one process with a local limit and in four that share one. Wanted is 0.98 to 1.00 locally and
// 0.95 to 1.02 shared; use -benchtime 60x for a minute.
func BenchmarkStartsPerWindow(b *testing.B) {
	for name, newLimit := range limits() {
		b.Run(name, func(b *testing.B) {
			processes := 4
			if name == "local" {
				processes = 1
			}
			r := newRig(b)
			r.fill(perRound)
			startsPerWindow(b, r, newLimit, processes)
		})
	}
}

func startsPerWindow(b *testing.B, r *rig, newLimit func(*testing.B, *rig, flow.Rate) flow.Limiter, processes int) {
	b.Helper()
	rate := flow.Rate{Limit: 200, Per: time.Second}
	starts := make(chan struct{}, perRound)
	store := newMemoryStore(b)
	subs := make([]*consumer.Subscription, processes)
	for i := range subs {
		var err error
		subs[i], err = consumer.SubscribeExactlyOnce(b.Context(), r.bus, topic, group, store, func(context.Context, bus.Event) error {
			starts <- struct{}{}
			return nil
		}, &consumer.Options{Limit: newLimit(b, r, rate), DeadLetter: "dead." + group})
		must(b, err)
	}
	for range processes * 2 * rate.Limit {
		<-starts // until what may start at once has
	}
	begun, counted := time.Now(), len(starts)
	for b.Loop() {
		time.Sleep(time.Second)
	}
	took := time.Since(begun)
	allowed := float64(rate.Limit) * took.Seconds()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(starts)-counted)/allowed, "of-the-limit")
	for i, s := range subs {
		if err := s.Drain(context.Background()); err != nil {
			b.Error(fmt.Errorf("process %d: %w", i, err))
		}
	}
}
