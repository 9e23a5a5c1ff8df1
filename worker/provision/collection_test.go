package provision_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/natstest"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker/provision"
)

// withOutbox needs the collections dedupe, limits and outbox.
const withOutbox = "group: billing\nmongo: {uri: 'mongodb://elsewhere'}\noutbox: {retention: 2d}\nsubscriptions:\n  - topic: order.placed\n    handler: {exec: ./charge}\n    rate: {limit: 5/s, shared: true}\n"

// mongoSite has a database of its own.
func mongoSite(t *testing.T) (*site, *mongo.Database) {
	t.Helper()
	db := mongotest.Database(t)
	uri, query, _ := strings.Cut(mongotest.URI(t), "?")
	uri = strings.TrimSuffix(uri, "/") + "/" + db.Name()
	if query != "" {
		uri += "?" + query
	}
	return siteAt(t, natstest.Start(t, nil).URL(), uri), db
}

func collections(t *testing.T, db *mongo.Database) int {
	t.Helper()
	names, err := db.ListCollectionNames(t.Context(), bson.D{})
	must(t, err)
	return len(names)
}

func TestCollectionsAreMadeWithTheirIndexes(t *testing.T) {
	t.Parallel()
	s, db := mongoSite(t)
	p := s.plan(withOutbox)
	if n := collections(t, db); n != 0 {
		t.Errorf("looking has made %d collections", n)
	}
	for _, name := range []string{"dedupe", "limits", "outbox"} {
		if item := itemOf(t, p, db.Name()+"."+name); item.Kind != provision.KindCollection || item.Action != provision.Create || len(item.Fields) == 0 {
			t.Errorf("%+v", item)
		}
	}
	must(t, p.Apply(t.Context(), nil))
	s.keepsAll(withOutbox)
	if names := streamNames(s.messages()); strings.Contains(names, "KV_onceish-dedupe") || strings.Contains(names, "KV_onceish-limits") {
		t.Errorf("buckets beside MongoDB: %s", names)
	}
	_, err := mongooutbox.New(t.Context(), db.Collection("outbox"), &mongooutbox.Options{Keep: 48 * time.Hour})
	must(t, err)
	s.keepsAll(withOutbox)
}

// Whoever was killed between two indexes has a collection with one: a new plan makes the others.
func TestACollectionWithSomeOfItsIndexesGetsTheOthers(t *testing.T) {
	t.Parallel()
	s, db := mongoSite(t)
	_, err := db.Collection("outbox").Indexes().CreateOne(t.Context(), mongo.IndexModel{
		Keys: bson.D{{Key: "ts", Value: 1}, {Key: "seq", Value: 1}, {Key: "_id", Value: 1}},
	})
	must(t, err)
	if item := itemOf(t, s.plan(withOutbox), db.Name()+".outbox"); item.Action != provision.Change || len(item.Fields) != 3 {
		t.Errorf("%+v", item)
	}
	s.apply(withOutbox)
	s.keepsAll(withOutbox)
}

func TestAnotherRetentionChangesTheIndex(t *testing.T) {
	t.Parallel()
	s, db := mongoSite(t)
	s.apply(withOutbox)
	longer := strings.Replace(withOutbox, "2d", "3d", 1)
	item := itemOf(t, s.plan(longer), db.Name()+".outbox")
	if item.Action != provision.Change || item.Fields[0] != (provision.Field{Name: "TTL index on sent_at", Have: "172800s", Want: "259200s"}) {
		t.Errorf("%+v", item)
	}
	s.apply(longer)
	s.keepsAll(longer)
}

// An index that somebody needs is not dropped: the collection is refused, and the rest is done.
func TestACollectionThatCannotServeIsRefused(t *testing.T) {
	t.Parallel()
	s, db := mongoSite(t)
	_, err := db.Collection("dedupe").Indexes().CreateOne(t.Context(), mongo.IndexModel{Keys: bson.D{{Key: "owner", Value: 1}}, Options: options.Index().SetUnique(true)})
	must(t, err)
	p := s.plan(withOutbox)
	if err := p.Apply(context.Background(), nil); !errors.Is(err, provision.ErrIncomplete) {
		t.Error(err)
	}
	item := itemOf(t, p, db.Name()+".dedupe")
	if item.Action != provision.Refuse || !strings.Contains(item.Why, "is unique") || item.Command != "mongosh "+db.Name()+` --eval 'db.getCollection("dedupe").getIndexes()'` {
		t.Errorf("%+v", item)
	}
	if again := s.plan(withOutbox); again.Pending() != 0 || again.Count(provision.Refuse) != 1 {
		t.Errorf("%+v", again.Items)
	}
}
