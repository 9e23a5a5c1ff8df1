package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

// rowChange is an update of rows in one of the states. Its filter takes any of the ids with any of
// the owners, not pair by pair: a nonce belongs to one row only, so nothing else can match. That is
// 5 to 70 times cheaper than a condition for each pair.
type rowChange struct {
	items       []int // the places of the rows in the argument of the call
	ids, owners []string
	phases      []dedupe.Phase
	update      bson.A
}

func (c *rowChange) writeModel(at serverclock.Instant) driver.WriteModel {
	if len(c.ids) == 1 { // can be retried by the driver, and FerretDB refuses $$NOW in a multi-update of one _id
		return driver.NewUpdateOneModel().SetFilter(c.rowFilter(at)).SetUpdate(c.update).SetHint(expr.ByID())
	}
	return driver.NewUpdateManyModel().SetFilter(c.rowFilter(at)).SetUpdate(c.update).SetHint(expr.ByID())
}

func (c *rowChange) addRow(item int, id string) {
	c.items, c.ids = append(c.items, item), append(c.ids, id)
}

// splitRows is the change of each row by itself.
func (c *rowChange) splitRows() []*rowChange {
	all := make([]*rowChange, len(c.ids))
	for i := range c.ids {
		all[i] = &rowChange{phases: c.phases, update: c.update}
		all[i].addRow(c.items[i], c.ids[i])
		if c.owners != nil {
			all[i].owners = c.owners[i : i+1]
		}
	}
	return all
}

// applyChanges makes the changes in one command, and reports how many rows matched. A row that the
// server refuses ends the change that it is in: the rows of such a change are changed once more,
// each by itself, so that none but the refused ones is left out. Those get their error in errs.
func (s *Store) applyChanges(ctx context.Context, changes []*rowChange, errs []error) (matched int, err error) {
	at, err := s.clock.Read(ctx)
	if err != nil {
		return 0, err
	}
	models := mapEach(changes, func(c *rowChange) driver.WriteModel { return c.writeModel(at) })
	res, turned, err := s.writeEach(ctx, models)
	if err != nil {
		return 0, err
	}
	var apart []*rowChange
	for _, e := range turned {
		if c := changes[e.Index]; len(c.ids) == 1 {
			errs[c.items[0]] = s.itemError(e.WriteError)
		} else {
			apart = append(apart, c.splitRows()...)
		}
	}
	if len(apart) == 0 {
		return int(res.MatchedCount), nil
	}
	again, err := s.applyChanges(ctx, apart, errs)
	return int(res.MatchedCount) + again, err
}

// rowFilter leaves expired rows out. It takes their time from the clock, for FerretDB refuses $$NOW
// in most filters; the doubt is in favour of the owner, who is alone in any case.
func (c *rowChange) rowFilter(at serverclock.Instant) bson.D {
	f := bson.D{expr.Field("_id", oneOf(c.ids))}
	if c.owners != nil {
		f = append(f, expr.Field("owner", oneOf(c.owners)))
	}
	states := mapEach(c.phases, dedupe.Phase.String)
	return append(f, expr.Field("state", oneOf(states)), expr.Field("expireAt", bson.D{expr.Field("$gt", at.Time.Add(-at.Doubt))}))
}

func oneOf(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return bson.D{{Key: "$in", Value: values}}
}
