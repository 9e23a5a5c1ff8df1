package mongoserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Index that a collection must have. It is named as servers name it by themselves, by its fields
// and directions.
type Index struct {
	// Fields of the index, ascending.
	Fields []string
	// Expires says that it is a TTL index, on its only field; documents go After that, in
	// whole seconds.
	Expires bool
	After   time.Duration
	// AsFound leaves After alone where the index is there already.
	AsFound bool
	// Sparse leaves documents without the field out. Of an index that is there already it
	// does not matter.
	Sparse bool
}

// FoundIndex is what matters of the specification of an index that is there.
type FoundIndex struct {
	Name   string   `bson:"name"`
	Key    bson.Raw `bson:"key"`
	TTL    *float64 `bson:"expireAfterSeconds"`
	Unique bool     `bson:"unique"`
	Sparse bool     `bson:"sparse"`
	Filter bson.Raw `bson:"partialFilterExpression"`
	// Collation is absent if it is the simple one.
	Collation bson.Raw `bson:"collation"`
}

// Difference is an index that a collection must have and does not, or with another
// expireAfterSeconds.
type Difference struct {
	Want *Index
	// Found is the index that is there; nil: there is none.
	Found *FoundIndex
}

// Differences returns what Ensure would make or change in a collection, and makes nothing. A
// collection that cannot serve is an error that wraps Unfit. exists reports whether the collection
// is there.
func (l *Layout) Differences(ctx context.Context, coll *mongo.Collection) (all []Difference, exists bool, err error) {
	if err := l.checkCollection(ctx, coll); err != nil {
		return nil, false, err
	}
	return l.differingIndexes(ctx, coll)
}

func (l *Layout) differingIndexes(ctx context.Context, coll *mongo.Collection) (all []Difference, exists bool, err error) {
	there, err := ListIndexes(ctx, coll)
	if err != nil {
		return nil, false, fmt.Errorf("listing its indexes: %w", err)
	}
	for i := range there {
		if err := l.checkConflict(&there[i]); err != nil {
			return nil, true, fmt.Errorf("%w: %w", l.Unfit, err)
		}
	}
	for i := range l.Indexes {
		x := &l.Indexes[i]
		at := slices.IndexFunc(there, func(f FoundIndex) bool { return f.hasFieldsOf(x) })
		switch {
		case at < 0:
			all = append(all, Difference{Want: x})
		case x.Expires && !x.AsFound && *there[at].TTL != x.After.Seconds():
			all = append(all, Difference{Want: x, Found: &there[at]})
		}
	}
	return all, len(there) > 0, nil
}

// ensureIndexes reports whether the indexes are as they should be; if not, it made or changed some,
// and is to be retried.
func (l *Layout) ensureIndexes(ctx context.Context, coll *mongo.Collection) (bool, error) {
	differences, _, err := l.differingIndexes(ctx, coll)
	if err != nil {
		return false, err
	}
	for _, d := range differences {
		if d.Found == nil {
			err = l.createIndex(ctx, coll, d.Want)
		} else {
			err = l.modifyTTL(ctx, coll, d.Want, d.Found.Name)
		}
		if err != nil {
			return false, err
		}
	}
	return len(differences) == 0, nil
}

// ListIndexes returns the indexes of a collection.
func ListIndexes(ctx context.Context, coll *mongo.Collection) (all []FoundIndex, err error) {
	cur, err := coll.Indexes().List(ctx)
	if err == nil {
		err = cur.All(ctx, &all)
	}
	return all, err
}

// checkConflict says what is wrong with an index, and what to do about it.
func (l *Layout) checkConflict(f *FoundIndex) error {
	at := slices.IndexFunc(l.Indexes, func(x Index) bool { return f.hasFieldsOf(&x) })
	expires := at >= 0 && l.Indexes[at].Expires
	switch {
	case f.hasFieldsOf(&Index{Fields: []string{"_id"}}):
		return nil
	case f.Unique:
		return fmt.Errorf("its index %s on %v is unique, which would keep rows out that have nothing to do with each other; use a collection of its own, or drop that index if nothing needs it",
			f.Name, f.Key)
	case !expires && f.TTL != nil:
		return fmt.Errorf("its TTL index %s on %v may remove rows before their time; use a collection of its own, or drop that index", f.Name, f.Key)
	case expires && f.TTL == nil:
		return fmt.Errorf("its index %s on %v has no expireAfterSeconds, so no row would ever go; drop it, and it is made again", f.Name, f.Key)
	case at >= 0 && f.Filter != nil:
		return fmt.Errorf("its index %s on %v is partial, so it does not have all rows; drop it, and it is made again", f.Name, f.Key)
	case at >= 0 && f.Sparse && !expires && !l.Indexes[at].Sparse:
		return fmt.Errorf("its index %s on %v is sparse, so servers may not use it; drop it, and it is made again", f.Name, f.Key)
	}
	return nil
}

// hasFieldsOf reports whether the index is on those fields. A TTL index may be descending.
func (f *FoundIndex) hasFieldsOf(x *Index) bool {
	elements, err := f.Key.Elements()
	if err != nil || len(elements) != len(x.Fields) {
		return false
	}
	for i, e := range elements {
		direction, _ := e.Value().AsFloat64OK()
		if e.Key() != x.Fields[i] || !x.Expires && direction != 1 {
			return false
		}
	}
	return true
}

// Keys are the index's, as a hint or a sort has them.
func (x *Index) Keys() bson.D {
	keys := make(bson.D, len(x.Fields))
	for i, name := range x.Fields {
		keys[i] = bson.E{Key: name, Value: 1}
	}
	return keys
}

// String describes the index.
func (x *Index) String() string {
	if x.Expires {
		return "TTL index on " + x.Fields[0]
	}
	return "index on " + strings.Join(x.Fields, ", ")
}

func (l *Layout) createIndex(ctx context.Context, coll *mongo.Collection, x *Index) error {
	o := options.Index()
	if x.Expires {
		o.SetExpireAfterSeconds(int32(x.After.Seconds()))
	}
	if x.Sparse {
		o.SetSparse(true)
	}
	_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: x.Keys(), Options: o})
	switch {
	case err == nil:
		return nil
	case Unauthorized(err):
		return fmt.Errorf("%w: it has no %s, and this user may not make one; grant createIndex, or have it made: %s: %w", l.Unfit, x.String(), x.shellCommand(), err)
	case HasCode(err, 86): // IndexKeySpecsConflict
		return fmt.Errorf("%w: another index has the name of its %s; rename or drop that one: %w", l.Unfit, x.String(), err)
	}
	return fmt.Errorf("making its %s: %w", x.String(), err)
}

// shellCommand makes the index in a shell.
func (x *Index) shellCommand() string {
	keys := strings.Join(x.Fields, ": 1, ") + ": 1"
	var opts []string
	if x.Expires {
		opts = append(opts, fmt.Sprintf("expireAfterSeconds: %.0f", x.After.Seconds()))
	}
	if x.Sparse {
		opts = append(opts, "sparse: true")
	}
	return fmt.Sprintf("createIndex({%s}, {%s})", keys, strings.Join(opts, ", "))
}

func (l *Layout) modifyTTL(ctx context.Context, coll *mongo.Collection, x *Index, name string) error {
	seconds := int64(x.After.Seconds())
	err := coll.Database().RunCommand(ctx, bson.D{
		{Key: "collMod", Value: coll.Name()},
		{Key: "index", Value: bson.D{{Key: "name", Value: name}, {Key: "expireAfterSeconds", Value: seconds}}},
	}).Err()
	switch {
	case err == nil:
		return nil
	case Unauthorized(err):
		return fmt.Errorf("%w: its TTL index %s has another expireAfterSeconds than %d, and this user may not change it; grant collMod, or have it changed: %w",
			l.Unfit, name, seconds, err)
	}
	return fmt.Errorf("setting expireAfterSeconds of its TTL index %s to %d: %w", name, seconds, err)
}
