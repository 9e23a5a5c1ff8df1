package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/waitingevents"
	"github.com/onceish/onceish/outbox"
)

// boundOperation bounds a call of an operator, which may read all rows there are.
func (q *Queue) boundOperation(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(driver.NewSessionContext(ctx, nil), 10*q.timeout)
}

// Count implements outbox.Admin. Rows are counted one status after the other: one that changes
// meanwhile may be counted twice, or not.
func (q *Queue) Count(ctx context.Context) (outbox.Counts, error) {
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	var c outbox.Counts
	for s, n := range map[outbox.Status]*int{outbox.Pending: &c.Pending, outbox.Sent: &c.Sent, outbox.Dead: &c.Dead, outbox.Scheduled: &c.Scheduled} {
		count, err := q.rows.CountDocuments(ctx, bson.D{expr.Field("status", s.String())}, options.Count().SetHint(byHash.Keys()))
		if err != nil {
			return outbox.Counts{}, q.callFailed("count", err)
		}
		*n = int(count)
	}
	oldest, err := q.oldestPending(ctx)
	if err != nil {
		return outbox.Counts{}, q.callFailed("count", err)
	}
	c.Oldest = oldest
	if c.Waiting, err = waitingevents.Count(ctx, q.rows.Database()); err != nil {
		return outbox.Counts{}, q.callFailed("count", err)
	}
	return c, nil
}

func (q *Queue) oldestPending(ctx context.Context) (time.Duration, error) {
	b, err := q.countPending(ctx, math.MaxInt32)
	return b.Oldest, err
}

// List implements outbox.Admin.
func (q *Queue) List(ctx context.Context, f outbox.Filter, most int) ([]outbox.Row, error) {
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	filter, err := q.filterOf(ctx, &f)
	if err != nil || most <= 0 {
		return nil, err
	}
	var rows []outbox.Row
	err = q.readRows(ctx, bson.A{expr.Op("$match", filter), expr.Op("$sort", byTime.Keys()), expr.Op("$limit", min(most, math.MaxInt32))}, most, func(s *storedRow) bool {
		rows = append(rows, s.toRow())
		return true
	})
	if err != nil {
		return nil, q.callFailed("list", err)
	}
	return rows, nil
}

// retryUpdate makes rows pending, and due.
func retryUpdate() bson.A {
	return bson.A{
		expr.Op("$set", bson.D{expr.Field("status", outbox.Pending.String()), expr.Field("version", expr.Plus("version", 1)), expr.Field("attempts", 0)}),
		expr.Op("$unset", bson.A{"due", "reason", "sent_at"}),
	}
}

// Retry implements outbox.Admin.
func (q *Queue) Retry(ctx context.Context, f outbox.Filter) (int, error) {
	if f.Status == outbox.Sent {
		return 0, errors.New("outbox/mongo: retry of sent rows: use Republish")
	}
	if f.Status == outbox.Scheduled {
		return 0, errors.New("outbox/mongo: retry of scheduled rows: use Move")
	}
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	filter, err := q.changeFilter(ctx, "retry", &f)
	if err != nil {
		return 0, err
	}
	if f.Status == outbox.Pending {
		at, err := q.clock.Read(ctx)
		if err != nil {
			return 0, q.callFailed("retry", err)
		}
		filter = append(filter, expr.Field("due", expr.Op("$gt", at.Time)))
	}
	return q.makePending(ctx, "retry", filter, retryUpdate())
}

func (q *Queue) makePending(ctx context.Context, call string, filter bson.D, update bson.A) (int, error) {
	res, err := q.rows.UpdateMany(ctx, filter, update)
	if err != nil {
		return 0, q.callFailed(call, err)
	}
	return int(res.ModifiedCount), nil
}

// Drop implements outbox.Admin.
func (q *Queue) Drop(ctx context.Context, f outbox.Filter) (int, error) {
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	filter, err := q.changeFilter(ctx, "drop", &f)
	if err != nil {
		return 0, err
	}
	res, err := q.rows.DeleteMany(ctx, filter)
	if err != nil {
		return 0, q.callFailed("drop", err)
	}
	return int(res.DeletedCount), nil
}

// Republish implements outbox.Admin.
func (q *Queue) Republish(ctx context.Context, topic string, from, to outbox.Moment) (int, error) {
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	filter, err := q.filterOf(ctx, &outbox.Filter{Topic: topic, Status: outbox.Sent})
	if err != nil {
		return 0, err
	}
	sent, err := q.timeCondition(ctx, from, to)
	if err != nil {
		return 0, q.callFailed("republish", err)
	}
	if len(sent) > 0 {
		filter = append(filter, expr.Field("sent_at", sent))
	}
	return q.makePending(ctx, "republish", filter, append(retryUpdate(), expr.Set(expr.Field("copies", expr.Plus("copies", int64(1))))))
}

// changeFilter is the filter of a change: of dead rows, if it names no status.
func (q *Queue) changeFilter(ctx context.Context, call string, f *outbox.Filter) (bson.D, error) {
	if f.Empty() {
		return nil, fmt.Errorf("outbox/mongo: %s: %w: name ids, a topic, a key or a time", call, outbox.ErrNoFilter)
	}
	if f.Status == 0 {
		f.Status = outbox.Dead
	}
	return q.filterOf(ctx, f)
}
