package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"

	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/mongodoc"
)

// effectFunc makes an event's effect elsewhere than in the journal, and says whether it is
// journal.Effect or journal.Found.
type effectFunc func(ctx context.Context, id string) (what string, err error)

// effectDocuments are a collection with a document for each event, which counts its effects.
type effectDocuments struct {
	updater *mongodoc.Updater
	coll    *mongo.Collection
}

// counterField is the field that every effect adds one to.
const counterField = "effects"

func addOne() bson.D { return bson.D{{Key: "$inc", Value: bson.D{{Key: counterField, Value: 1}}}} }

// addEffect adds one, and leaves the mark that it did, in one write.
func (d *effectDocuments) addEffect(ctx context.Context, id string) (what string, err error) {
	u, err := d.updater.UpdateOnce(ctx, d.coll, bson.D{{Key: "_id", Value: id}}, addOne(), &mongodoc.UpdateOptions{Upsert: true})
	if err != nil {
		return "", err
	}
	if u.Before {
		return journal.Found, nil
	}
	return journal.Effect, nil
}

// countEffects counts those of each event.
func (d *effectDocuments) countEffects(ctx context.Context) (map[string]int, error) {
	counts := make(map[string]int)
	cur, err := d.coll.Clone(options.Collection().SetReadConcern(readconcern.Majority())).
		Find(ctx, bson.D{}, options.Find().SetProjection(bson.D{{Key: counterField, Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("count the effects in %s: %w", d.coll.Name(), err)
	}
	for cur.Next(ctx) {
		id, known := cur.Current.Lookup("_id").StringValueOK()
		n, counted := cur.Current.Lookup(counterField).AsInt64OK()
		if !known || !counted {
			return nil, errors.Join(fmt.Errorf("count the effects in %s: %v is none of the demo's documents", d.coll.Name(), cur.Current), cur.Close(ctx))
		}
		counts[id] = int(n)
	}
	if err := errors.Join(cur.Err(), cur.Close(ctx)); err != nil {
		return nil, fmt.Errorf("count the effects in %s: %w", d.coll.Name(), err)
	}
	return counts, nil
}

// dropCollection removes what was made, also after ctx has ended. Without documents it does
// nothing.
func (d *effectDocuments) dropCollection(ctx context.Context) error {
	if d == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := d.coll.Drop(ctx); err != nil {
		return fmt.Errorf("remove the collection %s: %w", d.coll.Name(), err)
	}
	return nil
}
