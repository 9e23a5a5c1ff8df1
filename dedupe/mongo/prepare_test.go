package mongo_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// ttl is expireAfterSeconds of the index on expireAt; -1: there is none.
func ttl(t *testing.T, coll *driver.Collection) int64 {
	t.Helper()
	cur, err := coll.Indexes().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []bson.Raw
	if err := cur.All(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if _, err := x.LookupErr("key", "expireAt"); err != nil {
			continue
		}
		if n, ok := x.Lookup("expireAfterSeconds").AsInt64OK(); ok {
			return n
		}
	}
	return -1
}

func TestIndexIsMade(t *testing.T) {
	t.Parallel()
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := mongodedupe.New(t.Context(), coll, nil); err != nil {
				t.Errorf("eight processes start at once: %v", err)
			}
		})
	}
	wg.Wait()
	if got := ttl(t, coll); got != 0 {
		t.Errorf("expireAfterSeconds is %d, want 0", got)
	}
}

func TestIndexOfAnotherTTL(t *testing.T) {
	t.Parallel()
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	makeIndex(t, coll, bson.D{{Key: "expireAt", Value: -1}}, options.Index().SetExpireAfterSeconds(3600).SetName("mine"))
	if _, err := mongodedupe.New(t.Context(), coll, nil); err != nil {
		t.Fatal(err)
	}
	if got := ttl(t, coll); got != 0 {
		t.Errorf("expireAfterSeconds is %d, want 0", got)
	}
}

// Indexes that cannot be lived with are named, with what to do; nothing is dropped.
func TestIndexConflicts(t *testing.T) {
	t.Parallel()
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)))
	for _, c := range []struct {
		name string
		keys bson.D
		o    *options.IndexOptionsBuilder
		says []string
	}{
		{"no TTL", bson.D{{Key: "expireAt", Value: 1}}, options.Index(), []string{"expireAt_1", "no expireAfterSeconds", "drop it"}},
		{
			"partial",
			bson.D{{Key: "expireAt", Value: 1}},
			options.Index().SetExpireAfterSeconds(0).SetPartialFilterExpression(bson.D{{Key: "state", Value: "done"}}),
			[]string{"partial", "drop it"},
		},
		{"name taken", bson.D{{Key: "state", Value: 1}}, options.Index().SetName("expireAt_1"), []string{"name", "rename or drop"}},
		{"another TTL index", bson.D{{Key: "since", Value: 1}}, options.Index().SetExpireAfterSeconds(60), []string{"since_1", "before their time"}},
		{"unique", bson.D{{Key: "owner", Value: 1}}, options.Index().SetUnique(true), []string{"owner_1", "unique", "collection of its own"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			coll := collection(t, client)
			makeIndex(t, coll, c.keys, c.o)
			_, err := mongodedupe.New(t.Context(), coll, nil)
			if !errors.Is(err, mongodedupe.ErrCollection) {
				t.Fatalf("%v, want an ErrCollection", err)
			}
			for _, s := range append(c.says, coll.Name()) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the message lacks %q: %v", s, err)
				}
			}
			specs, err := coll.Indexes().ListSpecifications(t.Context())
			if err != nil || len(specs) != 2 {
				t.Errorf("%d indexes (%v), want the same 2", len(specs), err)
			}
		})
	}
}

func makeIndex(t *testing.T, coll *driver.Collection, keys bson.D, o *options.IndexOptionsBuilder) {
	t.Helper()
	if _, err := coll.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: keys, Options: o}); err != nil {
		t.Fatal(err)
	}
}

// Collections that forget or confuse rows are refused, and so is a user who may not make the index.
func TestUnfitCollections(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, command string
		reply         bson.D
		says          string
	}{
		{"view", "listCollections", listed("view", bson.D{}), "view"},
		{"capped", "listCollections", listed("collection", bson.D{{Key: "capped", Value: true}}), "capped"},
		{"collation", "listCollections", listed("collection", bson.D{{Key: "collation", Value: bson.D{{Key: "locale", Value: "en"}}}}), "collation (en)"},
		{"may not index", "createIndexes", mongowire.Failure(13, "Unauthorized"), "createIndex"},
		{"may not list", "listCollections", mongowire.Failure(13, "Unauthorized"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := mongowire.New(t, mongotest.URI(t))
			coll := collection(t, connect(t, options.Client().ApplyURI(w.URI())))
			w.Rewrite(func(command string, reply bson.D) bson.D {
				if command == c.command {
					return c.reply
				}
				return reply
			})
			_, err := mongodedupe.New(t.Context(), coll, nil)
			switch {
			case c.says == "" && err != nil:
				t.Errorf("%v, want none", err)
			case c.says != "" && (!errors.Is(err, mongodedupe.ErrCollection) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("%v, want an ErrCollection that says %q", err, c.says)
			}
		})
	}
}

func listed(kind string, opts bson.D) bson.D {
	entry := bson.D{{Key: "name", Value: "dedupe"}, {Key: "type", Value: kind}, {Key: "options", Value: opts}}
	return bson.D{
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.$cmd.listCollections"}, {Key: "firstBatch", Value: bson.A{entry}}}},
		{Key: "ok", Value: 1.0},
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	for says, o := range map[string]*mongodedupe.Options{
		"Options.Timeout is -1s":      {Timeout: -1e9},
		"Options.WriteConcern is w:0": {WriteConcern: writeconcern.Unacknowledged()},
	} {
		if _, err := mongodedupe.New(t.Context(), coll, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that says %q", err, says)
		}
	}
	if _, err := mongodedupe.New(t.Context(), nil, nil); err == nil {
		t.Error("a nil collection is taken")
	}
}
