package projector

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// claim is that of a row to the value of a unique field. Every event makes its claims, also one
// whose document is of a newer event: who owns a value follows from all events that ever had it,
// whatever their order.
type claim struct {
	*Unique

	row      *row
	value    any
	id       bson.D // of the document that has the owner
	inserted bool   // this call has inserted it: nobody had the value before
	owner    owner  // as last read
}

// owner is the document that keeps which key a value belongs to.
type owner struct {
	Key string `bson:"key"`
	Own struct {
		// Since is the position of the event that made the key the owner: it sees to it that the
		// documents show that.
		Since position `bson:"since"`
	} `bson:"_onceish"`
}

// model makes the row's key the owner if its event is the latest, or the first, that had the value.
func (c *claim) model() driver.WriteModel {
	at := c.row.item.at
	wins := at.older()
	if c.Policy == LastWins {
		wins = at.newer()
	}
	key := expr.Literal(c.row.key)
	since := expr.Op("$cond", bson.A{expr.Op("$eq", bson.A{"$key", key}), "$" + reservedField + ".since", at.literal()})
	return driver.NewUpdateOneModel().SetUpsert(true).SetFilter(expr.Op("_id", c.id)).SetUpdate(replaceIf(wins, bson.D{
		{Key: "_id", Value: "$_id"},
		{Key: "key", Value: key},
		{Key: reservedField, Value: bson.D{{Key: "hidden", Value: true}, {Key: "position", Value: at.literal()}, {Key: "since", Value: since}}},
	}))
}

// makeClaims makes the claims of rows, and reads who owns the values.
func makeClaims(ctx context.Context, coll *driver.Collection, claims []*claim) error {
	models := make([]driver.WriteModel, len(claims))
	for i, c := range claims {
		models[i] = c.model()
	}
	out, err := writeEach(ctx, coll, models)
	if err != nil {
		return fmt.Errorf("claim values of unique fields: %w", err)
	}
	for i, c := range claims {
		c.inserted = out.upserted[i]
		if e, ok := out.failed[i]; ok {
			c.row.item.err = refusal(e)
		}
	}
	return readOwners(ctx, coll, claims)
}

// readOwners reads who owns the values of claims.
func readOwners(ctx context.Context, coll *driver.Collection, claims []*claim) error {
	ids := make(bson.A, len(claims))
	for i, c := range claims {
		ids[i] = c.id
	}
	cur, err := coll.Find(ctx, expr.Op("_id", expr.Op("$in", ids)))
	if err != nil {
		return fmt.Errorf("read who owns values of unique fields: %w", err)
	}
	var found []struct {
		ID    bson.Raw `bson:"_id"`
		Owner owner    `bson:",inline"`
	}
	if err := cur.All(ctx, &found); err != nil {
		return fmt.Errorf("read who owns values of unique fields: %w", err)
	}
	owners := make(map[string]owner, len(found))
	for _, f := range found {
		owners[string(f.ID)] = f.Owner
	}
	for _, c := range claims {
		id, err := bson.Marshal(c.id)
		if err != nil {
			return err
		}
		c.owner = owners[string(id)]
	}
	return nil
}

// owns reports whether the value is that of the claim's row, as last read.
func (c *claim) owns() bool { return c.owner.Key == c.row.key }

// isSettled reports whether documents show the owner without more ado: the row had the value
// before its event, which only confirms it, or nobody ever had it. An event that has made the row
// the owner sees to it, and also when it is repeated.
func (c *claim) isSettled(before owner) bool {
	at := c.row.item.at
	return c.owns() && before.Key == c.row.key && (c.inserted || before.Own.Since != at && c.owner.Own.Since != at)
}

// settleTries bounds how often owners are looked at again after others changed them.
const settleTries = 100

// settle makes the documents show what belongs to them: those that have the value and do not own it
// no longer show it, and the owner does, if its document has it. It may be repeated, and be called
// by many processes at once: who shows a value looks afterwards whether it is still the owner.
func (c *claim) settle(ctx context.Context, coll *driver.Collection) error {
	for try := range settleTries {
		holder := c.owner.Key
		shown, err := c.moveValue(ctx, coll)
		if err == nil {
			err = readOwners(ctx, coll, []*claim{c})
		}
		if err != nil {
			return fmt.Errorf("settle who shows a value of the unique field %q: %w", c.Field, err)
		}
		if shown && c.owner.Key == holder {
			return nil
		}
		if err := mongoserver.Pause(ctx, try); err != nil {
			return err
		}
	}
	return fmt.Errorf("other events changed the owner of a value of the unique field %q %d times meanwhile", c.Field, settleTries)
}

// moveValue takes the value from those that show it, and gives it to its owner. It reports false if
// another document has come to show it in between.
func (c *claim) moveValue(ctx context.Context, coll *driver.Collection) (bool, error) {
	withheld := withheldField + "." + c.Field
	models := []driver.WriteModel{
		driver.NewUpdateManyModel().
			SetFilter(bson.D{{Key: c.Field, Value: expr.Op("$eq", c.value)}, {Key: "_id", Value: expr.Op("$ne", c.owner.Key)}}).
			SetUpdate(bson.A{expr.Set(expr.Field(withheld, "$"+c.Field)), expr.Unset(c.Field)}),
		driver.NewUpdateOneModel().
			SetFilter(bson.D{{Key: "_id", Value: c.owner.Key}, {Key: withheld, Value: expr.Op("$eq", c.value)}}).
			SetUpdate(bson.A{expr.Set(expr.Field(c.Field, "$"+withheld)), expr.Unset(withheld)}),
	}
	_, turned, err := mongoserver.WriteEach(ctx, coll, models, true)
	for _, e := range turned {
		if !mongoserver.Duplicate(e.WriteError) {
			return false, e.WriteError
		}
	}
	return len(turned) == 0, err
}
