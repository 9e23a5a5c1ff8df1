package mongodoc_test

import (
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/mongodoc"
)

// What may mean another document when it comes again is refused before anything is written.
func TestUpdateOnceRefusals(t *testing.T) {
	t.Parallel()
	s, dedupes, _ := wired(t)
	coll := dedupes.Database().Collection("accounts")
	if _, err := coll.InsertOne(t.Context(), d("_id", 1, "email", "a", "tenant", 1)); err != nil {
		t.Fatal(err)
	}
	_, err := coll.Indexes().CreateMany(t.Context(), []driver.IndexModel{
		{Keys: d("tenant", 1, "email", 1), Options: options.Index().SetUnique(true)},
		{Keys: d("partial", 1), Options: options.Index().SetUnique(true).SetPartialFilterExpression(d("partial", d("$gt", 5)))},
		{Keys: d("plain", 1)},
		{Keys: d("a.x", 1, "a.y", 1), Options: options.Index().SetUnique(true).SetSparse(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	inc, byID, o := d("$inc", d("n", 1)), d("_id", 1), mongodoc.UpdateOptions{Key: orderKey("1")}
	for name, c := range map[string]struct {
		filter, update any
		o              mongodoc.UpdateOptions
		want           string
	}{
		"empty filter":     {d(), inc, o, "pins no document"},
		"nil filter":       {nil, inc, o, "nil"},
		"or":               {d("$or", bson.A{d("_id", 1)}), inc, o, "pins no document"},
		"and":              {bson.M{"$and": bson.A{d("_id", 1)}}, inc, o, "pins no document"},
		"in":               {d("_id", d("$in", bson.A{1})), inc, o, "pins no document"},
		"gt":               {d("_id", d("$gte", 1, "$lte", 1)), inc, o, "pins no document"},
		"eq and more":      {d("_id", d("$eq", 1, "$exists", true)), inc, o, "pins no document"},
		"null":             {d("_id", nil), inc, o, "pins no document"},
		"eq null":          {d("_id", d("$eq", nil)), inc, o, "pins no document"},
		"pattern":          {d("_id", bson.Regex{Pattern: "1"}), inc, o, "pins no document"},
		"array":            {d("_id", bson.A{1}), inc, o, "pins no document"},
		"no index":         {d("plain", 1), inc, o, "no unique index"},
		"partial index":    {d("partial", 7), inc, o, "no unique index"},
		"half a key":       {d("email", "a"), inc, o, "no unique index"},
		"half null":        {d("email", "a", "tenant", nil), inc, o, "no unique index"},
		"one array":        {d("a.x", 1, "a.y", 1), inc, o, "no unique index"},
		"reserved filter":  {d("_id", 1, "_onceish.seq", 1), inc, o, "reserved"},
		"replacement":      {byID, d("n", 1), o, "replacement"},
		"nil update":       {byID, nil, o, "nil"},
		"reserved":         {byID, d("$set", d("_onceish", 1)), o, "reserved"},
		"below reserved":   {byID, d("$unset", d("_onceish.seq", "")), o, "reserved"},
		"rename to":        {byID, d("$rename", d("n", "_onceish.n")), o, "reserved"},
		"pipeline":         {byID, bson.A{d("$set", d("_onceish", 1))}, o, "reserved"},
		"pipeline unset":   {byID, bson.A{d("$unset", bson.A{"x", "_onceish"})}, o, "reserved"},
		"project":          {byID, bson.A{d("$project", d("n", 1))}, o, "$project"},
		"replace":          {byID, bson.A{d("$replaceWith", d("n", 1))}, o, "$replaceWith"},
		"positional":       {d("_id", 1, "l.k", 1), d("$set", d("l.$.n", 1)), o, "ArrayFilters"},
		"changes its key":  {d("tenant", 1, "email", "a"), d("$set", d("email", "b")), o, "would not find it"},
		"no key":           {byID, inc, mongodoc.UpdateOptions{}, "UpdateOptions.Key"},
		"TTL":              {byID, inc, mongodoc.UpdateOptions{Key: orderKey("1"), TTL: -1}, "UpdateOptions.TTL"},
		"marks":            {byID, inc, mongodoc.UpdateOptions{Key: orderKey("1"), MaxApplied: -1}, "UpdateOptions.MaxApplied"},
		"event":            {byID, inc, mongodoc.UpdateOptions{Key: orderKey("1"), Publish: []bus.Event{{Topic: "a b"}}}, "event 1 of 1"},
		"event's encoding": {byID, inc, mongodoc.UpdateOptions{Key: orderKey("1"), Publish: []bus.Event{{Topic: "a", Key: "\xff"}}}, "UTF-8"},
	} {
		_, err := s.UpdateOnce(t.Context(), coll, c.filter, c.update, &c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	doc := document(t, coll, 1)
	if _, err := doc.LookupErr("_onceish"); err == nil {
		t.Errorf("something was written: %v", doc)
	}
	for i, filter := range []any{d("tenant", 1, "email", "a"), d("email", d("$eq", "a"), "n", d("$gte", 0), "tenant", 1), byID, d("_id", d("$eq", 1))} {
		wantUpdate(t, s, coll, filter, inc, &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(i))}, applied)
		wantUpdate(t, s, coll, filter, inc, &mongodoc.UpdateOptions{Key: orderKey(fmt.Sprint(i))}, before)
	}
}
