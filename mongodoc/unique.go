package mongodoc

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// place is a collection: what was made sure of in one is remembered while the store lives.
type place struct {
	client     *driver.Client
	database   string
	collection string
}

func placeOf(coll *driver.Collection) place {
	return place{coll.Database().Client(), coll.Database().Name(), coll.Name()}
}

// String is the collection's namespace.
func (p place) String() string { return p.database + "." + p.collection }

// assured is what was made sure of in the collections of UpdateOnce. Safe for concurrent use.
type assured struct {
	mu sync.Mutex
	// unique has, by collection and the fields that a filter pins, those of a unique
	// index among them.
	unique map[pinned][]string
	// waiting has the collections in which events may wait, and when that was made sure of last.
	waiting map[place]time.Time
}

type pinned struct {
	in     place
	fields string
}

// keyIndex is what matters of an index specification.
type keyIndex struct {
	Name      string   `bson:"name"`
	Key       bson.Raw `bson:"key"`
	Unique    bool     `bson:"unique"`
	Filter    bson.Raw `bson:"partialFilterExpression"`
	Collation bson.Raw `bson:"collation"`
}

// uniquePin finds the conditions that are on a unique key.
func (u *Updater) uniquePin(ctx context.Context, in place, equal bson.D) (bson.D, error) {
	if len(equal) == 0 {
		return nil, fmt.Errorf("the filter: %w", errUnpinned)
	}
	names := make([]string, len(equal))
	for i, e := range equal {
		names[i] = e.Key
	}
	slices.Sort(names)
	fields, err := u.uniqueAmong(ctx, in, names)
	if err != nil {
		return nil, err
	}
	pin := make(bson.D, 0, len(fields))
	for _, f := range fields {
		pin = append(pin, equal[slices.IndexFunc(equal, func(e bson.E) bool { return e.Key == f })])
	}
	return pin, nil
}

// uniqueAmong are the fields of a unique index which are all among the names. What was
// found is kept.
func (u *Updater) uniqueAmong(ctx context.Context, in place, names []string) ([]string, error) {
	key := pinned{in, strings.Join(names, "\x00")}
	u.assured.mu.Lock()
	fields := u.assured.unique[key]
	u.assured.mu.Unlock()
	if fields != nil {
		return fields, nil
	}
	ctx, cancel := u.call(ctx)
	defer cancel()
	cur, err := in.client.Database(in.database).Collection(in.collection).Indexes().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the indexes of %v: %w", in, err)
	}
	var all []keyIndex
	if err := cur.All(ctx, &all); err != nil {
		return nil, fmt.Errorf("listing the indexes of %v: %w", in, err)
	}
	if fields = uniqueOf(all, names); fields == nil {
		return nil, fmt.Errorf("the filter: %w: %v has no unique index whose fields are all among %v; partial ones do not count", errUnpinned, in, names)
	}
	u.assured.mu.Lock()
	defer u.assured.mu.Unlock()
	u.assured.unique[key] = fields
	return fields, nil
}

func uniqueOf(all []keyIndex, names []string) []string {
	var collation bson.Raw // of the collection, which that on _id shares: queries compare by it
	for i := range all {
		if all[i].Name == "_id_" {
			collation = all[i].Collation
		}
	}
	for i := range all {
		x := &all[i]
		if !x.Unique || x.Filter != nil || !bytes.Equal(x.Collation, collation) {
			continue
		}
		if fields := x.fields(); fields != nil && !slices.ContainsFunc(fields, func(f string) bool { return !slices.Contains(names, f) }) {
			return fields
		}
	}
	return nil
}

// fields of the index; nil when two of them may meet in one array, for then equality with both is
// met by elements of different entries, which no index keeps apart.
func (x *keyIndex) fields() []string {
	es, err := x.Key.Elements()
	if err != nil {
		return nil
	}
	names := make([]string, 0, len(es))
	roots := make(map[string]bool, len(es))
	for _, e := range es {
		root, _, _ := strings.Cut(e.Key(), ".")
		if roots[root] {
			return nil
		}
		roots[root] = true
		names = append(names, e.Key())
	}
	return names
}
