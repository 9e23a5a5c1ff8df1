package mongoserver

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// Own is coll with every setting that matters to an adapter made its own; the client may have any.
func Own(coll *mongo.Collection, rc *readconcern.ReadConcern, wc *writeconcern.WriteConcern) *mongo.Collection {
	return coll.Clone(options.Collection().
		SetReadPreference(readpref.Primary()).
		SetReadConcern(rc).
		SetWriteConcern(wc).
		SetRegistry(bson.NewRegistry()).
		SetBSONOptions(&options.BSONOptions{}))
}

// Layout is what a collection has to be.
type Layout struct {
	// Unfit is what the error wraps when the collection cannot serve: its message says why, and
	// how to mend it.
	Unfit error
	// Indexes that it must have.
	Indexes []Index
}

// ensureTries bounds how often Ensure looks again after others changed the indexes at
// the same time.
const ensureTries = 3

// Ensure makes sure of a collection and its indexes. It makes indexes that are missing and
// changes expireAfterSeconds where it is another, and drops nothing. It may be called by many
// processes at once.
func (l *Layout) Ensure(ctx context.Context, coll *mongo.Collection) error {
	if err := l.checkCollection(ctx, coll); err != nil {
		return err
	}
	var err error
	for try := range ensureTries {
		var ready bool
		if ready, err = l.ensureIndexes(ctx, coll); ready || errors.Is(err, l.Unfit) {
			return err
		}
		if p := Pause(ctx, try); p != nil {
			return errors.Join(err, p)
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: its indexes were made, and yet they are not there", l.Unfit)
	}
	return err
}

// checkCollection refuses what would lose or confuse rows. Who may not list collections
// is spared it.
func (l *Layout) checkCollection(ctx context.Context, coll *mongo.Collection) error {
	specs, err := coll.Database().ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: coll.Name()}})
	if err != nil {
		if Unauthorized(err) {
			return nil
		}
		return fmt.Errorf("looking at the collection: %w", err)
	}
	for _, s := range specs {
		if why := unfitReason(s.Type, s.Options); why != "" {
			return fmt.Errorf("%w: %s use another collection", l.Unfit, why)
		}
	}
	return nil
}

func unfitReason(kind string, opts bson.Raw) string {
	if kind != "" && kind != "collection" {
		return "it is a " + kind + ";"
	}
	if capped, ok := opts.Lookup("capped").BooleanOK(); ok && capped {
		return "it is capped, and would forget the oldest rows;"
	}
	if locale, ok := opts.Lookup("collation", "locale").StringValueOK(); ok && locale != "simple" {
		return "its collation (" + locale + ") may take two keys for one;"
	}
	if hasValidator(opts) {
		return "it has a validator, which may refuse rows: take it off (collMod with validator: {}), or"
	}
	return ""
}

// hasValidator reports whether a validator refuses documents, and does not only warn.
func hasValidator(opts bson.Raw) bool {
	validator, ok := opts.Lookup("validator").DocumentOK()
	if !ok {
		return false
	}
	elements, err := validator.Elements()
	level, _ := opts.Lookup("validationLevel").StringValueOK()
	action, _ := opts.Lookup("validationAction").StringValueOK()
	return err == nil && len(elements) > 0 && level != "off" && action != "warn"
}
