package sizing

import (
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// collectionBytes is what the documents of a collection take.
type collectionBytes struct {
	documents int64 // as BSON
	disk      int64 // by the server's own count
	index     int64
}

func measureCollection(tb testing.TB, coll *mongo.Collection) (c collectionBytes) {
	tb.Helper()
	cur, err := coll.Find(tb.Context(), bson.D{})
	must(tb, err)
	for cur.Next(tb.Context()) {
		c.documents += int64(len(cur.Current))
	}
	must(tb, cur.Err())
	var stats struct {
		Storage int64 `bson:"storageSize"`
		Index   int64 `bson:"totalIndexSize"`
	}
	must(tb, coll.Database().RunCommand(tb.Context(), bson.D{{Key: "collStats", Value: coll.Name()}}).Decode(&stats))
	c.disk, c.index = stats.Storage, stats.Index
	return c
}

// measureMarks is what marks in MongoDB take.
func measureMarks(tb testing.TB, n, idLength int) collectionBytes {
	tb.Helper()
	coll := mongotest.Collection(tb)
	store, err := mongodedupe.New(tb.Context(), coll, nil)
	must(tb, err)
	markEvents(tb, store, n, idLength)
	return measureCollection(tb, coll)
}

// BenchmarkBytesMongo reports what a mark takes in MongoDB: -benchtime 1000000x is for so many
// marks.
func BenchmarkBytesMongo(b *testing.B) {
	for _, length := range idLengths {
		b.Run(fmt.Sprintf("key=%d", keyLength(length)), func(b *testing.B) {
			reportCollection(b, "mark", measureMarks(b, b.N, length))
		})
	}
}

func reportCollection(b *testing.B, of string, c collectionBytes) {
	b.Helper()
	report(b, "document-B/"+of, c.documents)
	report(b, "disk-B/"+of, c.disk)
	report(b, "index-B/"+of, c.index)
}
