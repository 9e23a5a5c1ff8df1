package mongodoc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// errLostRace: the document was not as it had to be, and may be now, or soon.
var errLostRace = errors.New("lost a race")

type ledgerView struct {
	there  bool
	marked bool
	since  int64
}

// explainNoMatch finds out why no document matched. before: the change was made, and a majority has
// it. No error: it may be tried again at once. It looks twice: what a majority has may be older
// than what the write saw, so that alone does not tell that the document is not as was asked.
func (c *updateOp) explainNoMatch(ctx context.Context) (before bool, err error) {
	if at, err := c.readLedger(ctx, c.majorityView()); err != nil || at.marked {
		return at.marked, err
	}
	at, err := c.readLedger(ctx, c.own)
	switch {
	case err != nil:
		return false, err
	case !at.there && c.o.Upsert:
		return false, errLostRace
	case !at.there:
		return false, fmt.Errorf("%w: there is none with %v", ErrNoMatch, c.target.uniqueFilter)
	case at.since >= int64(c.o.pruneInterval()):
		return false, c.pruneMarks(ctx)
	case !c.target.hasCondition():
		return false, errLostRace
	}
	switch err := c.own.FindOne(ctx, c.target.filter, options.FindOne().SetProjection(bson.D{expr.Field("_id", 1)})).Err(); {
	case err == nil:
		return false, errLostRace
	case !errors.Is(err, driver.ErrNoDocuments):
		return false, err
	}
	return c.recheckCondition(ctx)
}

// recheckCondition looks once more: the condition may be false because the change was made, and no
// majority has it yet.
func (c *updateOp) recheckCondition(ctx context.Context) (before bool, err error) {
	at, err := c.readLedger(ctx, c.own)
	switch {
	case err != nil:
		return false, err
	case at.marked:
		return false, errLostRace
	}
	return false, fmt.Errorf("%w: the one with %v does not meet the rest of the filter", ErrNoMatch, c.target.uniqueFilter)
}

func (c *updateOp) readLedger(ctx context.Context, coll *driver.Collection) (ledgerView, error) {
	marks := bson.D{expr.Field("$ifNull", bson.A{"$" + ledger.Marks, bson.A{}})}
	doc, err := c.readFields(ctx, coll, expr.Field("since", "$"+ledger.Since), expr.Field("marked", bson.D{expr.Field("$in", bson.A{expr.Literal(c.mark), marks})}))
	at := ledgerView{there: doc != nil}
	at.since, _ = doc.Lookup("since").AsInt64OK()
	at.marked, _ = doc.Lookup("marked").BooleanOK()
	return at, err
}

// readFields reads fields that are computed from the document; nil if there is none.
func (c *updateOp) readFields(ctx context.Context, coll *driver.Collection, fields ...bson.E) (bson.Raw, error) {
	cur, err := coll.Aggregate(ctx, bson.A{
		expr.Op("$match", c.target.uniqueFilter), expr.Op("$project", append(expr.Op("_id", 0), fields...)),
	}, options.Aggregate().SetBatchSize(2))
	if err != nil {
		return nil, err
	}
	defer func() { _ = cur.Close(context.WithoutCancel(ctx)) }()
	if !cur.Next(ctx) {
		return nil, cur.Err()
	}
	return slices.Clone(cur.Current), nil
}
