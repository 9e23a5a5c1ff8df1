package mongo

import (
	"context"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

var _ outbox.BacklogCounter = (*Queue)(nil)

// CountBacklog implements outbox.BacklogCounter. Rows are counted one status after the other: one
// that changes meanwhile may be counted twice, or not.
func (q *Queue) CountBacklog(ctx context.Context, most int) (outbox.Backlog, error) {
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	out, err := q.countPending(ctx, most)
	if err != nil {
		return outbox.Backlog{}, q.callFailed("count backlog", err)
	}
	dead, err := q.rows.CountDocuments(ctx, withStatus(outbox.Dead), options.Count().SetHint(byHash.Keys()).SetLimit(int64(most)))
	if err != nil {
		return outbox.Backlog{}, q.callFailed("count backlog", err)
	}
	out.Dead = int(dead)
	if err := q.countScheduled(ctx, most, &out); err != nil {
		return outbox.Backlog{}, q.callFailed("count backlog", err)
	}
	return out, nil
}

// countScheduled adds the scheduled rows: as pending those that are due, which are the first.
func (q *Queue) countScheduled(ctx context.Context, most int, out *outbox.Backlog) error {
	isDue := expr.Op("$cond", bson.A{expr.Op("$lte", bson.A{"$at", "$now"}), 1, 0}) // some servers refuse their clock here
	cur, err := q.rows.Aggregate(ctx, bson.A{
		expr.Op("$match", scheduledCondition(math.MaxInt64)), expr.Op("$sort", byDue.Keys()), expr.Op("$limit", most),
		expr.Op("$project", bson.D{expr.Field("at", 1), expr.Field("now", expr.Now)}),
		expr.Op("$group", bson.D{
			expr.Field("_id", nil), expr.Field("rows", expr.Op("$sum", 1)), expr.Field("due", expr.Op("$sum", isDue)),
			expr.Field("first", expr.Op("$min", "$at")), expr.Field("now", expr.Op("$max", "$now")),
		}),
	}, options.Aggregate().SetHint(byDue.Keys()))
	if err != nil {
		return err
	}
	var found []struct {
		Rows  int       `bson:"rows"`
		Due   int       `bson:"due"`
		First time.Time `bson:"first"`
		Now   time.Time `bson:"now"`
	}
	if err := cur.All(ctx, &found); err != nil || len(found) == 0 {
		return err
	}
	f := &found[0]
	out.Pending, out.Scheduled = min(most, out.Pending+f.Due), f.Rows-f.Due
	if f.Due > 0 {
		out.Oldest = max(out.Oldest, time.Millisecond, f.Now.Sub(f.First))
	}
	return nil
}

// countPending counts pending rows alone.
func (q *Queue) countPending(ctx context.Context, most int) (out outbox.Backlog, err error) {
	cur, err := q.rows.Aggregate(ctx, bson.A{
		expr.Op("$match", withStatus(outbox.Pending)),
		expr.Op("$limit", most),
		expr.Op("$group", bson.D{expr.Field("_id", nil), expr.Field("rows", expr.Op("$sum", 1)), expr.Field("oldest", expr.Op("$min", expr.Op("$max", bson.A{"$ts", "$at"})))}),
		expr.Op("$addFields", expr.Op("now", expr.Now)),
	}, options.Aggregate().SetHint(byHash.Keys()))
	if err != nil {
		return out, err
	}
	var found []struct {
		Rows   int       `bson:"rows"`
		Oldest time.Time `bson:"oldest"`
		Now    time.Time `bson:"now"`
	}
	if err := cur.All(ctx, &found); err != nil || len(found) == 0 {
		return out, err
	}
	f := &found[0]
	return outbox.Backlog{Pending: f.Rows, Oldest: max(time.Millisecond, f.Now.Sub(f.Oldest))}, nil
}

func withStatus(s outbox.Status) bson.D { return bson.D{expr.Field("status", s.String())} }
