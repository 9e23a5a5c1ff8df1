package benchmark

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// perMongoDrain is how many events a round of a drain benchmark on MongoDB publishes; of one key a
// fourth of that.
const perMongoDrain = 20_000

// BenchmarkDrainMongo drains distinct keys from MongoDB, against the same reads and writes in
// batches without publishing.
func BenchmarkDrainMongo(b *testing.B) {
	r := newRig(b)
	var sum rates
	for b.Loop() {
		sum.baseline += r.pass(r.mongo(perMongoDrain, distinct), perMongoDrain)
		sum.ours += r.drainQueue(r.mongo(perMongoDrain, distinct), perMongoDrain)
		sum.events += perMongoDrain
	}
	sum.report(b, "reads-and-writes")
}

// BenchmarkDrainMongoNaive drains distinct keys from MongoDB, against a drainer that finds one row,
// publishes it, waits, and marks it.
func BenchmarkDrainMongoNaive(b *testing.B) {
	const few = perMongoDrain / 20
	r := newRig(b)
	js, err := jetstream.New(r.nc)
	must(b, err)
	var sum rates
	for b.Loop() {
		coll := mongotest.Collection(b)
		r.mongoIn(coll, few, distinct)
		sum.baseline += r.naive(js, coll, few) * perMongoDrain / few
		sum.ours += r.drainQueue(r.mongo(perMongoDrain, distinct), perMongoDrain)
		sum.events += perMongoDrain
	}
	sum.report(b, "naive")
}

// BenchmarkDrainHotKeyMongo drains one key from MongoDB, whose events go one after the other,
// against synchronous publishing.
func BenchmarkDrainHotKeyMongo(b *testing.B) {
	const n = perMongoDrain / 4
	r := newRig(b)
	js, err := jetstream.New(r.nc)
	must(b, err)
	var sum rates
	for b.Loop() {
		sum.baseline += r.publishSync(js, n)
		sum.ours += r.drainQueue(r.mongo(n, func(int) string { return "hot" }), n)
		sum.events += n
	}
	sum.report(b, "sync-publish")
}

func distinct(i int) string { return fmt.Sprint("key-", i) }

// mongo is a new outbox with rows.
func (r *rig) mongo(n int, key func(i int) string) *mongooutbox.Queue {
	r.b.Helper()
	return r.mongoIn(mongotest.Collection(r.b), n, key)
}

func (r *rig) mongoIn(coll *mongo.Collection, n int, key func(i int) string) *mongooutbox.Queue {
	r.b.Helper()
	r.round++
	q, err := mongooutbox.New(r.b.Context(), coll, nil)
	must(r.b, err)
	for from := 0; from < n; from += 5_000 {
		rows := make([]outbox.Row, min(5_000, n-from))
		for i := range rows {
			e := r.event(from + i)
			e.ID, e.Key = fmt.Sprintf("%d-%s", r.round, e.ID), key(from+i)
			rows[i].Event = e
		}
		_, err := q.AddRowsAlone(r.b.Context(), rows...)
		must(r.b, err)
	}
	return q
}

// pass reads pages and marks them, as large as a drainer's.
func (r *rig) pass(q outbox.Queue, n int) time.Duration {
	r.b.Helper()
	start := time.Now()
	leases, err := q.Acquire(r.b.Context(), "baseline", time.Hour)
	must(r.b, err)
	for from := uint64(0); n > 0; {
		page, err := q.Pending(r.b.Context(), outbox.Ask{From: from, To: outbox.MaxHash, Rows: 2_000, Bytes: 16 << 20})
		must(r.b, err)
		from = page.Next
		rs := make([]outbox.Result, len(page.Rows))
		for i, row := range page.Rows {
			rs[i] = outbox.Result{Lease: leases[outbox.PartitionOf(row.Hash, len(leases))], ID: row.ID, Version: row.Version}
		}
		for ; len(rs) > 0; rs = rs[min(1_000, len(rs)):] {
			_, err := q.Settle(r.b.Context(), rs[:min(1_000, len(rs))])
			must(r.b, err)
			n -= min(1_000, len(rs))
		}
	}
	return time.Since(start)
}

// naive does one row after the other.
func (r *rig) naive(js jetstream.JetStream, coll *mongo.Collection, n int) time.Duration {
	r.b.Helper()
	coll = coll.Clone(options.Collection().SetWriteConcern(writeconcern.Majority()))
	ctx := context.WithoutCancel(r.b.Context())
	start := time.Now()
	for i := range n {
		var row struct {
			ID string `bson:"_id"`
		}
		must(r.b, coll.FindOne(ctx, bson.D{{Key: "status", Value: "pending"}}).Decode(&row))
		_, err := js.PublishMsg(ctx, r.raw(i))
		must(r.b, err)
		_, err = coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: row.ID}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "status", Value: "sent"}, {Key: "sent_at", Value: time.Now()}}}})
		must(r.b, err)
	}
	return time.Since(start)
}
