package benchmark

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/bus"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/projector"
)

// BenchmarkProjection: a projection of events with distinct keys, in batches of 500, as a rebuild
// makes it, against bulkWrite upserts of the same documents alone. unique has a unique field that
// no two documents share, and updates writes each document once more.
func BenchmarkProjection(b *testing.B) {
	b.Run("upsert", func(b *testing.B) { againstUpserts(b, nil, 1) })
	b.Run("updates", func(b *testing.B) { againstUpserts(b, nil, 2) })
	b.Run("unique", func(b *testing.B) {
		againstUpserts(b, &projector.Options{Unique: []projector.Unique{{Field: "email"}}}, 1)
	})
}

const (
	projected      = perMongoRound / 2
	projectedBatch = 500
)

// projectedDocument is one of 256 bytes or so.
func projectedDocument(i int) bson.D {
	return bson.D{{Key: "email", Value: fmt.Sprintf("user-%d@example.org", i)}, {Key: "data", Value: make([]byte, payload)}}
}

func againstUpserts(b *testing.B, o *projector.Options, times int) {
	b.Helper()
	db := mongotest.Database(b)
	var sum rates
	for round := 0; b.Loop(); round++ {
		sum.baseline += upsertAlone(b, db.Collection(fmt.Sprint("alone", round)), times)
		sum.ours += project(b, db.Collection(fmt.Sprint("projected", round)), o, times)
		sum.events += projected * times
	}
	sum.report(b, "bulkWrite")
}

func upsertAlone(b *testing.B, coll *mongo.Collection, times int) time.Duration {
	b.Helper()
	coll = coll.Clone(options.Collection().SetWriteConcern(writeconcern.Majority()))
	must(b, coll.Database().CreateCollection(b.Context(), coll.Name()))
	start := time.Now()
	for first := 0; first < projected*times; first += projectedBatch {
		models := make([]mongo.WriteModel, projectedBatch)
		for i := range models {
			key := (first + i) % projected
			models[i] = mongo.NewReplaceOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: fmt.Sprint("k", key)}}).SetReplacement(projectedDocument(key))
		}
		_, err := coll.BulkWrite(b.Context(), models, options.BulkWrite().SetOrdered(false))
		must(b, err)
	}
	return time.Since(start)
}

// project is a rebuild, which projects what it reads from memory.
func project(b *testing.B, coll *mongo.Collection, o *projector.Options, times int) time.Duration {
	b.Helper()
	p, err := projector.New(coll, func(e bus.Event) (projector.Change, error) {
		var i int
		_, err := fmt.Sscan(e.Key, &i)
		return projector.Upsert("k"+e.Key, projectedDocument(i)), err
	}, o)
	must(b, err)
	store, err := memdedupe.New(nil)
	must(b, err)
	r, err := projector.NewRebuild(p, projectedHistory(projected*times), topic, group, store, nil)
	must(b, err)
	start := time.Now()
	g, err := r.Fill(context.Background())
	took := time.Since(start)
	if must(b, err); g.Events != int64(projected*times) || g.Refused > 0 {
		b.Fatal(errors.New(g.Refusal), g)
	}
	return took
}
