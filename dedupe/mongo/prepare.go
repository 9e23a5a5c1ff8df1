package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ttlField is what the TTL index is on; a document without it never expires.
const ttlField = "expireAt"

// prepareTries bounds how often New looks again after others changed the indexes at the same time.
const prepareTries = 3

// prepare makes sure of the collection and its TTL index. It drops nothing.
func prepare(ctx context.Context, coll *driver.Collection) error {
	if err := checkCollection(ctx, coll); err != nil {
		return err
	}
	var err error
	for try := range prepareTries {
		var ready bool
		if ready, err = ensureTTL(ctx, coll); ready || errors.Is(err, ErrCollection) {
			return err
		}
		if p := pause(ctx, try); p != nil {
			return errors.Join(err, p)
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: its TTL index on %s was made, and yet it is not there", ErrCollection, ttlField)
	}
	return err
}

// checkCollection refuses what would lose or confuse rows. Who may not list collections is spared the check.
func checkCollection(ctx context.Context, coll *driver.Collection) error {
	specs, err := coll.Database().ListCollectionSpecifications(ctx, bson.D{field("name", coll.Name())})
	if err != nil {
		if unauthorized(err) {
			return nil
		}
		return fmt.Errorf("looking at the collection: %w", err)
	}
	for _, s := range specs {
		if why := unfit(s.Type, s.Options); why != "" {
			return fmt.Errorf("%w: %s; use another collection", ErrCollection, why)
		}
	}
	return nil
}

func unfit(kind string, opts bson.Raw) string {
	if kind != "" && kind != "collection" {
		return "it is a " + kind
	}
	if capped, ok := opts.Lookup("capped").BooleanOK(); ok && capped {
		return "it is capped, and would forget the oldest marks"
	}
	if locale, ok := opts.Lookup("collation", "locale").StringValueOK(); ok && locale != "simple" {
		return "its collation (" + locale + ") may take two keys for one"
	}
	return ""
}

// index is what matters of an index specification.
type index struct {
	Name   string   `bson:"name"`
	Key    bson.Raw `bson:"key"`
	TTL    *float64 `bson:"expireAfterSeconds"`
	Unique bool     `bson:"unique"`
	Filter bson.Raw `bson:"partialFilterExpression"`
}

// ensureTTL tells whether the index is as it should be; if not, it made or changed it, and is to be asked again.
func ensureTTL(ctx context.Context, coll *driver.Collection) (bool, error) {
	indexes, err := list(ctx, coll)
	if err != nil {
		return false, err
	}
	var ours *index
	for i := range indexes {
		x := &indexes[i]
		if err := x.conflict(); err != nil {
			return false, fmt.Errorf("%w: %w", ErrCollection, err)
		}
		if x.on(ttlField) {
			ours = x
		}
	}
	switch {
	case ours == nil:
		return false, create(ctx, coll)
	case *ours.TTL != 0:
		return false, modify(ctx, coll, ours.Name)
	}
	return true, nil
}

func list(ctx context.Context, coll *driver.Collection) ([]index, error) {
	cur, err := coll.Indexes().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing its indexes: %w", err)
	}
	var all []index
	if err := cur.All(ctx, &all); err != nil {
		return nil, fmt.Errorf("listing its indexes: %w", err)
	}
	return all, nil
}

// conflict says what is wrong with an index, and what to do about it.
func (x *index) conflict() error {
	switch ours := x.on(ttlField); {
	case x.on("_id"):
		return nil
	case x.Unique:
		return fmt.Errorf("its index %s on %v is unique, which would keep rows out that have nothing to do with each other; use a collection of its own, or drop that index if nothing needs it",
			x.Name, x.Key)
	case !ours && x.TTL != nil:
		return fmt.Errorf("its TTL index %s on %v may remove marks before their time; use a collection of its own, or drop that index", x.Name, x.Key)
	case ours && x.TTL == nil:
		return fmt.Errorf("its index %s on %s has no expireAfterSeconds, so no row would ever go; drop it, and it is made anew", x.Name, ttlField)
	case ours && x.Filter != nil:
		return fmt.Errorf("its TTL index %s on %s is partial, so some rows would never go; drop it, and it is made anew", x.Name, ttlField)
	}
	return nil
}

// on tells whether the index is on that one field.
func (x *index) on(name string) bool {
	elements, err := x.Key.Elements()
	return err == nil && len(elements) == 1 && elements[0].Key() == name
}

func create(ctx context.Context, coll *driver.Collection) error {
	_, err := coll.Indexes().CreateOne(ctx, driver.IndexModel{
		Keys:    bson.D{field(ttlField, 1)},
		Options: options.Index().SetExpireAfterSeconds(0),
	})
	switch {
	case err == nil:
		return nil
	case unauthorized(err):
		return fmt.Errorf("%w: it has no TTL index, and this user may not make one; grant createIndex, or have it made: createIndex({%s: 1}, {expireAfterSeconds: 0}): %w",
			ErrCollection, ttlField, err)
	case code(err, 86): // IndexKeySpecsConflict
		return fmt.Errorf("%w: another index has the name of its TTL index on %s; rename or drop that one: %w", ErrCollection, ttlField, err)
	}
	return fmt.Errorf("making its TTL index on %s: %w", ttlField, err)
}

// modify makes rows go at the time they carry, as this version writes it.
func modify(ctx context.Context, coll *driver.Collection, name string) error {
	err := coll.Database().RunCommand(ctx, bson.D{
		field("collMod", coll.Name()),
		field("index", bson.D{field("name", name), field("expireAfterSeconds", 0)}),
	}).Err()
	switch {
	case err == nil:
		return nil
	case unauthorized(err):
		return fmt.Errorf("%w: its TTL index %s has another expireAfterSeconds than 0, and this user may not change it; grant collMod, or have it changed: %w",
			ErrCollection, name, err)
	}
	return fmt.Errorf("setting expireAfterSeconds of its TTL index %s to 0: %w", name, err)
}

func unauthorized(err error) bool { return code(err, 13) }

func code(err error, n int) bool {
	var se driver.ServerError
	return errors.As(err, &se) && se.HasErrorCode(n)
}
