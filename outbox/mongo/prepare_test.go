package mongo_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
	"github.com/onceish/onceish/outbox"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

// indexes are the keys of each index, and after how many seconds its rows go.
func indexes(t *testing.T, coll *driver.Collection) map[string]int32 {
	t.Helper()
	all := map[string]int32{}
	for _, s := range must[[]driver.IndexSpecification](t)(coll.Indexes().ListSpecifications(t.Context())) {
		all[s.KeysDocument.String()] = -1
		if s.ExpireAfterSeconds != nil {
			all[s.KeysDocument.String()] = *s.ExpireAfterSeconds
		}
	}
	return all
}

func keys(names ...string) bson.D {
	var d bson.D
	for _, n := range names {
		d = append(d, bson.E{Key: n, Value: int32(1)})
	}
	return d
}

func text(t *testing.T, d bson.D) string {
	t.Helper()
	return bson.Raw(must[[]byte](t)(bson.Marshal(d))).String()
}

func TestIndexesAreMade(t *testing.T) {
	t.Parallel()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := mongooutbox.New(t.Context(), coll, nil); err != nil {
				t.Errorf("eight processes start at once: %v", err)
			}
		})
	}
	wg.Wait()
	want := map[string]int32{
		text(t, keys("_id")): -1, text(t, keys("status", "hash", "seq", "_id")): -1, text(t, keys("ts", "seq", "_id")): -1,
		text(t, keys("scheduled")): -1, text(t, keys("sent_at")): 3 * 24 * 3600,
	}
	compare(t, indexes(t, coll), want)
	open(t, coll, &mongooutbox.Options{Keep: time.Hour})
	want[text(t, keys("sent_at"))] = 3600
	compare(t, indexes(t, coll), want)
	open(t, coll, nil) // somebody who does not care leaves it as it is
	compare(t, indexes(t, coll), want)
}

func compare(t *testing.T, got, want map[string]int32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("indexes %v; want %v", got, want)
	}
	for k, v := range want {
		if g, ok := got[k]; !ok || g != v {
			t.Errorf("index %s: %d, there: %t; want %d", k, g, ok, v)
		}
	}
}

// Indexes that cannot be lived with are named, with what to do; nothing is dropped.
func TestIndexConflicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys bson.D
		o    *options.IndexOptionsBuilder
		says []string
	}{
		"no TTL":     {keys("sent_at"), options.Index(), []string{"sent_at_1", "no expireAfterSeconds", "drop it"}},
		"other TTL":  {keys("ts"), options.Index().SetExpireAfterSeconds(60), []string{"ts_1", "before their time"}},
		"unique":     {keys("key"), options.Index().SetUnique(true), []string{"key_1", "unique", "collection of its own"}},
		"partial":    {keys("ts", "seq", "_id"), options.Index().SetPartialFilterExpression(bson.D{{Key: "status", Value: "sent"}}), []string{"partial", "drop it"}},
		"name taken": {keys("topic"), options.Index().SetName("ts_1_seq_1__id_1"), []string{"name", "rename or drop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
			must[string](t)(coll.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: c.keys, Options: c.o}))
			_, err := mongooutbox.New(t.Context(), coll, nil)
			if !errors.Is(err, mongooutbox.ErrCollection) {
				t.Fatalf("%v; want ErrCollection", err)
			}
			for _, s := range append(c.says, coll.Name()) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("the message lacks %q: %v", s, err)
				}
			}
			if _, ok := indexes(t, coll)[text(t, c.keys)]; !ok {
				t.Error("the index was dropped")
			}
		})
	}
}

func TestUnfitCollections(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		command string
		reply   bson.D
	}{
		"capped":      {"listCollections", listed(bson.D{{Key: "capped", Value: true}})},
		"createIndex": {"createIndexes", mongowire.Failure(13, "Unauthorized")},
	} {
		w := mongowire.New(t, mongotest.URI(t))
		w.Rewrite(func(command string, reply bson.D) bson.D {
			if command == c.command {
				return c.reply
			}
			return reply
		})
		_, err := mongooutbox.New(t.Context(), collection(t, options.Client().ApplyURI(w.URI())), nil)
		if !errors.Is(err, mongooutbox.ErrCollection) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an ErrCollection that says %q", err, says)
		}
	}
}

func listed(opts bson.D) bson.D {
	entry := bson.D{{Key: "name", Value: "outbox"}, {Key: "type", Value: "collection"}, {Key: "options", Value: opts}}
	return bson.D{
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.$cmd.listCollections"}, {Key: "firstBatch", Value: bson.A{entry}}}},
		{Key: "ok", Value: 1.0},
	}
}

// The number of partitions is the store's; who wants another one is told.
func TestPartitionsLiveInTheStore(t *testing.T) {
	t.Parallel()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	open(t, coll, &mongooutbox.Options{Partitions: 5})
	leases := must[[]outbox.Lease](t)(open(t, coll, nil).Acquire(t.Context(), "a", time.Minute))
	if len(leases) != 5 || leases[4].Last != outbox.MaxHash {
		t.Errorf("leases %+v; want 5", leases)
	}
	_, err := mongooutbox.New(t.Context(), coll, &mongooutbox.Options{Partitions: 6})
	if !errors.Is(err, mongooutbox.ErrCollection) || !strings.Contains(err.Error(), "5 partitions") {
		t.Errorf("%v; want an ErrCollection that tells of 5", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	coll := collection(t, options.Client().ApplyURI(mongotest.URI(t)))
	for says, o := range map[string]*mongooutbox.Options{
		"Options.Timeout is -1s":        {Timeout: -time.Second},
		"Options.Keep is 1ms":           {Keep: time.Millisecond},
		"Options.Partitions is 100000;": {Partitions: 100_000},
	} {
		if _, err := mongooutbox.New(t.Context(), coll, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v; want an error that says %q", err, says)
		}
	}
	if _, err := mongooutbox.New(t.Context(), nil, nil); err == nil {
		t.Error("a nil collection is taken")
	}
}
