package mongodoc

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// errLostRace: the document was not as it had to be, and may be now, or soon.
var errLostRace = errors.New("lost a race")

// seen is what a document's ledger told.
type seen struct {
	there  bool
	marked bool
	since  int64
}

// missed finds out why no document matched. before: the change was made, and a majority has it. No
// error: it may be tried again at once. It looks twice: what a majority has may be older than what
// the write saw, so that alone does not tell that the document is not as was asked.
func (c *once) missed(ctx context.Context) (before bool, err error) {
	if at, err := c.look(ctx, c.acked()); err != nil || at.marked {
		return at.marked, err
	}
	at, err := c.look(ctx, c.own)
	switch {
	case err != nil:
		return false, err
	case !at.there && c.o.Upsert:
		return false, errLostRace
	case !at.there:
		return false, fmt.Errorf("%w: there is none with %v", ErrNoMatch, c.target.pin)
	case at.since >= int64(c.o.room()):
		return false, c.prune(ctx)
	case !c.target.conditional():
		return false, errLostRace
	}
	switch err := c.own.FindOne(ctx, c.target.filter, options.FindOne().SetProjection(bson.D{expr.Field("_id", 1)})).Err(); {
	case err == nil:
		return false, errLostRace
	case !errors.Is(err, driver.ErrNoDocuments):
		return false, err
	}
	return c.refused(ctx)
}

// refused looks once more: the condition may be false because the change was made, and no
// majority has it yet.
func (c *once) refused(ctx context.Context) (before bool, err error) {
	at, err := c.look(ctx, c.own)
	switch {
	case err != nil:
		return false, err
	case at.marked:
		return false, errLostRace
	}
	return false, fmt.Errorf("%w: the one with %v does not meet the rest of the filter", ErrNoMatch, c.target.pin)
}

// look reads the document's ledger.
func (c *once) look(ctx context.Context, coll *driver.Collection) (seen, error) {
	marks := bson.D{expr.Field("$ifNull", bson.A{"$" + ledger.Marks, bson.A{}})}
	cur, err := coll.Aggregate(ctx, bson.A{
		bson.D{expr.Field("$match", c.target.pin)},
		bson.D{expr.Field("$project", bson.D{
			expr.Field("_id", 0), expr.Field("since", "$"+ledger.Since), expr.Field("marked", bson.D{expr.Field("$in", bson.A{expr.Literal(c.mark), marks})}),
		})},
	}, options.Aggregate().SetBatchSize(2))
	if err != nil {
		return seen{}, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	if !cur.Next(ctx) {
		return seen{}, cur.Err()
	}
	at := seen{there: true}
	at.since, _ = cur.Current.Lookup("since").AsInt64OK()
	at.marked, _ = cur.Current.Lookup("marked").BooleanOK()
	return at, nil
}
