package mongotest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/testing/mongotest"
)

func TestCollectionIsFreshAndDropped(t *testing.T) {
	client := mongotest.Client(t)
	var names []string
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := mongotest.Collection(t)
			if n, err := c.CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
				t.Fatalf("rows in a fresh collection: %d, %v", n, err)
			}
			if _, err := c.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "a"}}); err != nil {
				t.Fatal(err)
			}
			names = append(names, c.Database().Name())
			if !slices.Contains(databases(t, client), c.Database().Name()) {
				t.Fatal("the database is not there")
			}
		})
	}
	if names[0] == names[1] {
		t.Fatalf("two tests share the database %s", names[0])
	}
	if left := databases(t, client); slices.Contains(left, names[0]) || slices.Contains(left, names[1]) {
		t.Fatalf("of %v there are left %v", names, left)
	}
}

func databases(t *testing.T, client *mongo.Client) []string {
	t.Helper()
	names, err := client.ListDatabaseNames(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestReplicaSet(t *testing.T) {
	client := mongotest.Client(t)
	var hello bson.M
	if err := client.Database("admin").RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		t.Fatal(err)
	}
	r := record(t, func(tb testing.TB) { mongotest.ReplicaSet(tb, client) })
	if set := hello["setName"] != nil; set == strings.Contains(r.skipped, "needs a replica set") || r.failed != "" {
		t.Fatalf("setName %v: skipped %q, failed %q", hello["setName"], r.skipped, r.failed)
	}
}

func TestURI(t *testing.T) {
	for _, c := range []struct {
		uri, require    string
		skipped, failed bool
	}{
		{uri: "", require: "", skipped: true},
		{uri: "", require: "0", skipped: true},
		{uri: "", require: "1", failed: true},
		{uri: "mongodb://x/", require: ""},
		{uri: "mongodb://x/", require: "1"},
	} {
		t.Setenv("MONGODB_URI", c.uri)
		t.Setenv("REQUIRE_MONGO", c.require)
		var got string
		r := record(t, func(tb testing.TB) { got = mongotest.URI(tb) })
		if got != c.uri || strings.Contains(r.skipped, "scripts/mongo") != c.skipped || strings.Contains(r.failed, "scripts/mongo") != c.failed {
			t.Errorf("%+v: %q, skipped %q, failed %q", c, got, r.skipped, r.failed)
		}
	}
}

// recorder is a test that notes how it ends.
type recorder struct {
	testing.TB

	skipped, failed string
}

type ended struct{}

func record(t *testing.T, f func(testing.TB)) (r *recorder) {
	t.Helper()
	r = &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != (ended{}) {
			panic(p)
		}
	}()
	f(r)
	return r
}

func (r *recorder) Skip(args ...any) {
	r.skipped = fmt.Sprint(args...)
	panic(ended{})
}

func (r *recorder) Fatal(args ...any) {
	r.failed = fmt.Sprint(args...)
	panic(ended{})
}
