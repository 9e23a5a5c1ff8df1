package mongo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

const batch = 500

// BenchmarkClaimMark claims and marks events in batches of 500, and compares with a find and an
// upsert for each event, 64 at a time, in the same run.
func BenchmarkClaimMark(b *testing.B) {
	client := connect(b, options.Client().ApplyURI(mongotest.URI(b)))
	single := oneByOne(b, collection(b, client), time.Second)
	for _, inFlight := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			s, err := mongodedupe.New(b.Context(), collection(b, client), nil)
			if err != nil {
				b.Fatal(err)
			}
			var batches atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for range inFlight {
				wg.Go(func() {
					for n := batches.Add(1); n <= int64(b.N); n = batches.Add(1) {
						claimMark(b, s, requests(n))
					}
				})
			}
			wg.Wait()
			rate := float64(b.N*batch) / time.Since(start).Seconds()
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate/single, "x/find+upsert")
		})
	}
}

// BenchmarkDuplicates claims batches in which every event is done already.
func BenchmarkDuplicates(b *testing.B) {
	client := connect(b, options.Client().ApplyURI(mongotest.URI(b)))
	s, err := mongodedupe.New(b.Context(), collection(b, client), nil)
	if err != nil {
		b.Fatal(err)
	}
	claimMark(b, s, requests(0))
	for b.Loop() {
		rs := requests(0)
		if _, err := s.Claim(b.Context(), rs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "events/s")
}

func requests(n int64) []dedupe.Request {
	rs := make([]dedupe.Request, batch)
	for i := range rs {
		id := fmt.Sprintf("0192f3a1-%08d-%08d", n, i)
		rs[i] = dedupe.Request{
			Key:   dedupe.Key{Topic: "orders.created", Group: "billing", ID: id},
			Nonce: "n-" + id, Hash: make([]byte, 32), Lease: 30 * time.Second, TTL: 7 * 24 * time.Hour,
		}
	}
	return rs
}

func claimMark(b *testing.B, s *mongodedupe.Store, rs []dedupe.Request) {
	b.Helper()
	cs, err := s.Claim(b.Context(), rs)
	if err != nil {
		b.Error(err)
		return
	}
	ss := make([]dedupe.Settlement, len(cs))
	for i, c := range cs {
		ss[i] = dedupe.Settlement{Claim: c, TTL: rs[i].TTL}
	}
	errs, err := s.Settle(b.Context(), ss)
	if err != nil {
		b.Error(err)
		return
	}
	for i, err := range errs {
		if err != nil || cs[i].State != dedupe.Fresh {
			b.Errorf("%s: %v, mark: %v", cs[i].Key, cs[i].State, err)
		}
	}
}

// oneByOne is the rate of the plain way.
func oneByOne(b *testing.B, coll *driver.Collection, d time.Duration) float64 {
	b.Helper()
	coll = coll.Clone(options.Collection().SetWriteConcern(writeconcern.Majority()))
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				id := bson.D{{Key: "_id", Value: fmt.Sprintf("orders.created::billing::%d", n.Add(1))}}
				if err := coll.FindOne(b.Context(), id).Err(); err != driver.ErrNoDocuments { //nolint:errorlint // as it is returned
					b.Errorf("find: %v", err)
					return
				}
				set := bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: "done"}, {Key: "expireAt", Value: time.Now().Add(time.Hour)}}}}
				if _, err := coll.UpdateOne(b.Context(), id, set, options.UpdateOne().SetUpsert(true)); err != nil {
					b.Errorf("upsert: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}
