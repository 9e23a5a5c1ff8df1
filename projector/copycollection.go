package projector

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/mongoserver"
)

// copyCollection makes a collection with the options and the indexes of another one, and without
// its documents. One that is there is left as it is.
func copyCollection(ctx context.Context, from, to *driver.Collection) error {
	specs, err := from.Database().ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: from.Name()}})
	if err != nil {
		return fmt.Errorf("look at the collection: %w", err)
	}
	create := bson.D{{Key: "create", Value: to.Name()}}
	for _, s := range specs {
		options, err := s.Options.Elements()
		if err != nil {
			return fmt.Errorf("look at the collection: %w", err)
		}
		for _, o := range options {
			create = append(create, bson.E{Key: o.Key(), Value: o.Value()})
		}
	}
	const exists = 48 // NamespaceExists
	if err := from.Database().RunCommand(ctx, create).Err(); err != nil && !mongoserver.HasCode(err, exists) {
		return fmt.Errorf("make the collection %s: %w", to.Name(), err)
	}
	if len(specs) == 0 {
		return nil
	}
	return copyIndexes(ctx, from, to)
}

func copyIndexes(ctx context.Context, from, to *driver.Collection) error {
	cur, err := from.Indexes().List(ctx)
	var all []bson.D
	if err == nil {
		err = cur.All(ctx, &all)
	}
	if err != nil {
		return fmt.Errorf("list the indexes: %w", err)
	}
	var indexes bson.A
	for _, x := range all {
		if index := withoutVersion(x); index != nil {
			indexes = append(indexes, index)
		}
	}
	if len(indexes) == 0 {
		return nil
	}
	err = to.Database().RunCommand(ctx, bson.D{{Key: "createIndexes", Value: to.Name()}, {Key: "indexes", Value: indexes}}).Err()
	if err != nil {
		return fmt.Errorf("make the indexes of %s: %w", to.Name(), err)
	}
	return nil
}

// withoutVersion is the specification of an index as it is to be created; nil for that of _id.
func withoutVersion(index bson.D) (spec bson.D) {
	for _, f := range index {
		switch {
		case f.Key == "name" && f.Value == "_id_":
			return nil
		case f.Key != "v" && f.Key != "ns":
			spec = append(spec, f)
		}
	}
	return spec
}
