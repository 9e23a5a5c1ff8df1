package benchmark

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// BenchmarkKV: JetStream and the key-value store, against its claims and marks alone.
func BenchmarkKV(b *testing.B) {
	atConcurrency(b, func(b *testing.B, concurrency int) {
		r := newRig(b)
		store, err := kvdedupe.New(b.Context(), r.nc, nil)
		must(b, err)
		defer func() { must(b, store.Close()) }()
		r.againstAlone(perRound, store, concurrency)
	}, 16, 512)
}

// BenchmarkMongo: JetStream and MongoDB, against its claims and marks alone.
func BenchmarkMongo(b *testing.B) {
	atConcurrency(b, func(b *testing.B, concurrency int) {
		r := newRig(b)
		store, err := mongodedupe.New(b.Context(), mongotest.Collection(b), nil)
		must(b, err)
		r.againstAlone(perMongoRound, store, concurrency)
	}, 16, 512)
}

// atConcurrency runs a benchmark at each concurrency, which also bounds what a crash may repeat.
func atConcurrency(b *testing.B, run func(b *testing.B, concurrency int), each ...int) {
	b.Helper()
	for _, n := range each {
		b.Run(fmt.Sprintf("concurrency=%d", n), func(b *testing.B) { run(b, n) })
	}
}

// claimer is a store of mode claimed.
type claimer interface {
	dedupe.Store
	dedupe.Claimer
}

func (r *rig) againstAlone(events int, store claimer, concurrency int) {
	r.b.Helper()
	r.fill(events)
	var sum rates
	for r.b.Loop() {
		sum.baseline += r.alone(events, store)
		sum.ours += r.ours(events, concurrency, store)
		sum.events += events
	}
	sum.report(r.b, "claim+mark")
}

// BenchmarkMongoOneByOne: JetStream and MongoDB, against a find and an upsert for each event,
// 64 at a time.
func BenchmarkMongoOneByOne(b *testing.B) {
	atConcurrency(b, func(b *testing.B, concurrency int) {
		r := newRig(b)
		r.fill(perMongoRound)
		coll := mongotest.Collection(b)
		store, err := mongodedupe.New(b.Context(), coll, nil)
		must(b, err)
		plain := coll.Database().Collection("one_by_one")
		var sum rates
		for b.Loop() {
			sum.baseline += r.oneByOne(plain, perMongoRound)
			sum.ours += r.ours(perMongoRound, concurrency, store)
			sum.events += perMongoRound
		}
		sum.report(b, "find+upsert")
	}, 16, 512)
}

// oneByOne asks for each event whether it is there, and marks it.
func (r *rig) oneByOne(coll *mongo.Collection, events int) time.Duration {
	r.b.Helper()
	r.round++
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(events); i = next.Add(1) {
				if err := findUpsert(r.b.Context(), coll, fmt.Sprintf("%s::%s::%d-%d", topic, group, r.round, i)); err != nil {
					r.b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func findUpsert(ctx context.Context, coll *mongo.Collection, id string) error {
	key := bson.D{{Key: "_id", Value: id}}
	if err := coll.FindOne(ctx, key).Err(); !errors.Is(err, mongo.ErrNoDocuments) {
		return fmt.Errorf("%s is there: %w", id, err)
	}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "expireAt", Value: time.Now().Add(7 * 24 * time.Hour)}}}}
	_, err := coll.UpdateOne(ctx, key, set, options.UpdateOne().SetUpsert(true))
	return err
}
