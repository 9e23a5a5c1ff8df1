package mongo_test

import (
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/dedupe/dedupetest"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dedupetest.Run(t, dedupetest.Harness{
		New: subject,
	})
}

// subject is a store behind a proxy, whose client hides no error by trying again itself.
func subject(t *testing.T) dedupetest.Subject {
	t.Helper()
	w := mongowire.New(t, mongotest.URI(t))
	client := connect(t, options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	through := client.Database(coll.Database().Name()).Collection(coll.Name())
	return dedupetest.Subject{
		Store: store(t, through, &mongodedupe.Options{Timeout: patience}),
		Skewed: func(t *testing.T, d time.Duration) dedupe.Store {
			t.Helper()
			return store(t, through, mongodedupe.Options{}.Skew(d))
		},
		Newer: func(t *testing.T, key dedupe.Key) {
			t.Helper()
			row := bson.D{{Key: "_id", Value: key.String()}, {Key: "state", Value: "later"}, {Key: "expireAt", Value: time.Now().Add(time.Hour)}}
			if _, err := coll.InsertOne(t.Context(), row); err != nil {
				t.Fatal(err)
			}
		},
		Fault:   w.Fail,
		Partial: func(key dedupe.Key) func() bool { return w.Spoil(key.String()) },
		Refuse:  w.Refuse,
		Present: func(t *testing.T, key dedupe.Key) bool { return present(t, coll, key) },
	}
}

// store opens a store whose expired rows stay: its TTL index is dropped, so that a case sees the
// predicate at work.
func store(t *testing.T, coll *driver.Collection, o *mongodedupe.Options) *mongodedupe.Store {
	t.Helper()
	s, err := mongodedupe.New(t.Context(), coll, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := coll.Indexes().DropOne(t.Context(), "expireAt_1"); err != nil {
		t.Fatal(err)
	}
	return s
}

func present(t *testing.T, coll *driver.Collection, key dedupe.Key) bool {
	t.Helper()
	n, err := coll.CountDocuments(t.Context(), bson.D{{Key: "_id", Value: key.String()}})
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}
