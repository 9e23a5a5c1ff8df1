package mongodoc_test

import (
	"errors"
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/mongodoc"
)

// A second change of one document is refused however its filter names the document: its mark would
// be taken for the first one's, and it would never be made.
func TestUpdateOnceKnowsTheDocumentByAnyName(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	unique := driver.IndexModel{Keys: d("email", 1), Options: options.Index().SetUnique(true)}
	if _, err := coll.Indexes().CreateOne(t.Context(), unique); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: int64(i)}, {Key: "email", Value: fmt.Sprint(i, "@b")}}); err != nil {
			t.Fatal(err)
		}
	}
	names := map[string]bson.D{
		"int64": d("_id", int64(1)), "int32": d("_id", int32(1)), "double": d("_id", 1.0), "$eq": d("_id", d("$eq", int64(1))), "unique key": d("email", "1@b"),
	}
	for first, by := range names {
		for second, again := range names {
			event := first + ", " + second
			ctx := dedupe.WithRun(t.Context(), dedupe.NewRun(orderKey(event)))
			change := func(filter bson.D, field string) (mongodoc.Update, error) {
				return s.UpdateOnce(ctx, coll, filter, d("$inc", d(field, 1)), nil)
			}
			if u, err := change(by, "n"); err != nil || u.Before {
				t.Fatalf("%s: %+v, %v", event, u, err)
			}
			if u, err := change(again, "m"); !errors.Is(err, mongodoc.ErrStep) {
				t.Errorf("%s: %+v, %v; want ErrStep", event, u, err)
			}
			if u, err := change(d("_id", 0), "n"); err != nil || u.Before {
				t.Errorf("%s: another document: %+v, %v", event, u, err)
			}
			ctx = dedupe.WithRun(t.Context(), dedupe.NewRun(orderKey(event))) // the next run finds both changes made
			for _, filter := range []bson.D{by, d("_id", 0)} {
				if u, err := change(filter, "n"); err != nil || !u.Before {
					t.Errorf("%s: the next run: %+v, %v", event, u, err)
				}
			}
		}
	}
}
