package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

// Settle implements outbox.Queue. It costs one round trip, two where single rows have an outcome of
// their own, and another when the server changes fewer rows than there are results.
func (q *Queue) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	for i := range rs {
		if rs[i].Outcome.Status() == 0 {
			return nil, fmt.Errorf("outbox/mongo: settle: result %d of %d: the Outcome is %d; the last one known is %d", i+1, len(rs), rs[i].Outcome, outbox.GivenUp)
		}
	}
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	oks := make([]bool, 0, len(rs))
	for from := 0; from < len(rs) || from == 0; from += maxBatch {
		some, err := q.settleBatch(ctx, rs[from:min(from+maxBatch, len(rs))])
		if err != nil {
			return nil, q.callFailed("settle", err)
		}
		oks = append(oks, some...)
	}
	return oks, nil
}

func (q *Queue) settleBatch(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	if len(rs) == 0 {
		return nil, ctx.Err()
	}
	changes := groupAlike(rs)
	models := make([]driver.WriteModel, len(changes))
	for i, c := range changes {
		models[i] = c.writeModel()
	}
	res, turned, err := mongoserver.Write(ctx, q.rows, models, false)
	if err == nil && len(turned) > 0 {
		err = turned[0].WriteError
	}
	if err != nil {
		return nil, err
	}
	if int(res.ModifiedCount) == len(rs) {
		return slices.Repeat([]bool{true}, len(rs)), nil
	}
	ids := make([]string, len(rs))
	for i := range rs {
		ids[i] = rs[i].ID
	}
	rows, err := q.rowsByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	oks := make([]bool, len(rs))
	for i := range rs {
		if oks[i], err = rows[ids[i]].settledBy(&rs[i]); err != nil {
			return nil, err
		}
	}
	return oks, nil
}

// settledBy judges a result by the row as it is afterwards: a repeat finds itself applied.
func (s *storedRow) settledBy(r *outbox.Result) (bool, error) {
	switch {
	case s == nil:
		return false, nil
	case s.Version == int64(r.Version)+1 && s.Status == r.Outcome.Status().String():
		return true, nil
	case s.Version == int64(r.Version) && s.Status == outbox.Pending.String() && r.Lease.Until.After(s.Now):
		return false, errors.New("a row was not counted and yet is there, pending and leased; retry")
	}
	return false, nil
}

// settleChange is a settlement of rows that are alike.
type settleChange struct {
	ids []string
	as  *outbox.Result
}

// groupAlike makes one change of the results that are alike.
func groupAlike(rs []outbox.Result) []*settleChange {
	type likeness struct {
		outcome outbox.Outcome
		attempt bool
		after   time.Duration
		reason  string
		version uint64
		until   int64
	}
	var changes []*settleChange
	alike := make(map[likeness]*settleChange)
	for i := range rs {
		r := &rs[i]
		l := likeness{r.Outcome, r.Attempt, r.After, r.Reason, r.Version, r.Lease.Until.UnixMilli()}
		c := alike[l]
		if c == nil {
			c = &settleChange{as: r}
			changes, alike[l] = append(changes, c), c
		}
		c.ids = append(c.ids, r.ID)
	}
	return changes
}

func (c *settleChange) writeModel() driver.WriteModel {
	filter := bson.D{
		expr.Field("_id", expr.Op("$in", c.ids)), expr.Field("status", outbox.Pending.String()), expr.Field("version", int64(c.as.Version)),
	}
	if len(c.ids) == 1 { // can be retried by the driver, and FerretDB refuses $$NOW in a multi-update of one _id
		filter[0].Value = c.ids[0]
		return driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(c.settleUpdate()).SetHint(expr.ByID())
	}
	return driver.NewUpdateManyModel().SetFilter(filter).SetUpdate(c.settleUpdate()).SetHint(expr.ByID())
}

// settleUpdate changes a row if the lease is not over by the server's clock, and leaves it as it is
// otherwise: then the server does not count it as modified. The condition is not in the filter, for
// some servers refuse their clock there.
func (c *settleChange) settleUpdate() bson.A {
	fields := bson.D{expr.Field("status", c.as.Outcome.Status().String()), expr.Field("version", expr.Plus("version", 1))}
	switch c.as.Outcome {
	case outbox.Confirmed:
		fields = append(fields, expr.Field("sent_at", expr.Now))
	case outbox.Refused:
		fields = append(fields, expr.Field("attempts", expr.Plus("attempts", 1)), expr.Field("due", expr.NowPlus(max(0, c.as.After))), expr.Field("reason", expr.Literal(keptReason(c.as.Reason))))
	case outbox.GivenUp:
		fields = append(fields, expr.Field("reason", expr.Literal(keptReason(c.as.Reason))))
		if c.as.Attempt {
			fields = append(fields, expr.Field("attempts", expr.Plus("attempts", 1)))
		}
	}
	for i, f := range fields {
		fields[i].Value = expr.Op("$cond", bson.A{expr.Op("$lt", bson.A{expr.Now, c.as.Lease.Until}), f.Value, "$" + f.Key})
	}
	return bson.A{expr.Op("$set", fields)}
}

// keptReason is a reason as it is kept: in UTF-8, as BSON demands.
func keptReason(text string) string {
	return dedupe.TrimReason(strings.ToValidUTF8(text, "\uFFFD"), outbox.MaxReason)
}
