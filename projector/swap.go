package projector

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
)

// Swap puts the shadow in the place of the live collection, which is gone then. Processes of the
// group may run meanwhile. Before it, Swap reads what has come in the meantime into the shadow, and
// after it once more what they may have written to the old collection at the last moment: for that
// long, readers may see documents as they were a moment before. Where Swap was ended after the
// exchange, the next call, or Finish, does the rest.
func (r *Rebuild) Swap(ctx context.Context) (Progress, error) {
	finished, err := r.Finish(ctx)
	if err != nil {
		return Progress{}, err
	}
	err = r.exchange(ctx)
	if errors.Is(err, ErrNoRebuild) && finished.At != (bus.Position{}) {
		return finished, nil // that was it
	}
	if err != nil {
		return Progress{}, r.fail("swap", err)
	}
	return r.Finish(ctx)
}

// exchange brings the shadow up to date, and renames it.
func (r *Rebuild) exchange(ctx context.Context) error {
	g, err := findProgress(ctx, r.shadow)
	if err != nil {
		return err
	}
	if err := r.fill(ctx, r.shadow, g); err != nil {
		return err
	}
	db := r.p.coll.Database()
	name := func(coll string) string { return db.Name() + "." + coll }
	if err := db.Client().Database("admin").RunCommand(ctx, bson.D{
		{Key: "renameCollection", Value: name(r.shadow.Name())}, {Key: "to", Value: name(r.p.coll.Name())}, {Key: "dropTarget", Value: true},
	}).Err(); err != nil {
		return fmt.Errorf("rename %s: %w", r.shadow.Name(), err)
	}
	return nil
}

// Finish does what is left of a swap that was ended after the exchange: it reads what the processes
// of the group may have written to the old collection. It does nothing if nothing is left. A
// process of the group calls it when it starts.
func (r *Rebuild) Finish(ctx context.Context) (Progress, error) {
	g, err := findProgress(ctx, r.p.coll)
	if errors.Is(err, ErrNoRebuild) {
		return Progress{}, nil
	}
	if err == nil {
		err = r.fill(ctx, r.p.coll, g)
	}
	if err == nil {
		_, err = r.p.coll.DeleteOne(ctx, bson.D{{Key: "_id", Value: g.ID}, {Key: "rebuild", Value: g.Rebuild}})
	}
	if err != nil {
		return Progress{}, r.fail("finish", err)
	}
	return g.public()
}
