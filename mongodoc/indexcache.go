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

	"github.com/onceish/onceish/internal/mongoserver"
)

type namespace struct {
	client     *driver.Client
	database   string
	collection string
}

func namespaceOf(coll *driver.Collection) namespace {
	return namespace{coll.Database().Client(), coll.Database().Name(), coll.Name()}
}

// String is the collection's namespace.
func (p namespace) String() string { return p.database + "." + p.collection }

// indexCache remembers the indexes of the collections of UpdateOnce while the Updater lives. It is
// safe for concurrent use.
type indexCache struct {
	mu sync.Mutex
	// unique has, by collection and the fields that a filter pins, those of a unique
	// index among them.
	unique map[indexCacheKey][]string
	// waiting has the collections in which events may wait, and when that was made sure of last.
	waiting map[namespace]time.Time
}

type indexCacheKey struct {
	in     namespace
	fields string
}

func (u *Updater) findUniqueFilter(ctx context.Context, in namespace, equal bson.D) (bson.D, error) {
	if len(equal) == 0 {
		return nil, fmt.Errorf("the filter: %w", errNotUnique)
	}
	names := make([]string, len(equal))
	for i, e := range equal {
		names[i] = e.Key
	}
	slices.Sort(names)
	fields, err := u.uniqueFieldsAmong(ctx, in, names)
	if err != nil {
		return nil, err
	}
	pin := make(bson.D, 0, len(fields))
	for _, f := range fields {
		pin = append(pin, equal[slices.IndexFunc(equal, func(e bson.E) bool { return e.Key == f })])
	}
	return pin, nil
}

// uniqueFieldsAmong are the fields of a unique index which are all among the names. What was
// found is kept.
func (u *Updater) uniqueFieldsAmong(ctx context.Context, in namespace, names []string) ([]string, error) {
	key := indexCacheKey{in, strings.Join(names, "\x00")}
	u.indexes.mu.Lock()
	fields := u.indexes.unique[key]
	u.indexes.mu.Unlock()
	if fields != nil {
		return fields, nil
	}
	ctx, cancel := u.boundCall(ctx)
	defer cancel()
	all, err := mongoserver.ListIndexes(ctx, in.client.Database(in.database).Collection(in.collection))
	if err != nil {
		return nil, fmt.Errorf("listing the indexes of %v: %w", in, err)
	}
	if fields = findUniqueFields(all, names); fields == nil {
		return nil, fmt.Errorf("the filter: %w: %v has no unique index whose fields are all among %v; partial ones do not count", errNotUnique, in, names)
	}
	u.indexes.mu.Lock()
	defer u.indexes.mu.Unlock()
	u.indexes.unique[key] = fields
	return fields, nil
}

func findUniqueFields(all []mongoserver.FoundIndex, names []string) []string {
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
		if fields := distinctFields(x.Key); fields != nil && !slices.ContainsFunc(fields, func(f string) bool { return !slices.Contains(names, f) }) {
			return fields
		}
	}
	return nil
}

// distinctFields of an index; nil when two of them may meet in one array, for then equality with
// both is met by elements of different entries, which no index keeps apart.
func distinctFields(key bson.Raw) []string {
	es, err := key.Elements()
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
