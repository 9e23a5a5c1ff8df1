package mongo

import (
	"context"
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

var (
	_ outbox.Schedules   = (*Queue)(nil)
	_ outbox.DueReleaser = (*Queue)(nil)
)

// byDue has scheduled rows, and no others, in the order in which they are due.
var byDue = mongoserver.Index{Fields: []string{"scheduled"}, Sparse: true}

// scheduleAt makes a row that is added a scheduled one.
func (s *storedRow) scheduleAt(t time.Time, place int) {
	s.Status, s.At = outbox.Scheduled.String(), outbox.DueTime(t)
	s.Seq = int64(outbox.DueSeq(s.At, place)) // #nosec G115 -- before the year 2262
	s.Scheduled = s.Seq
}

// lastSeqAt is the largest seq of a scheduled row that is due at a time.
func lastSeqAt(t time.Time) int64 {
	return int64(outbox.DueSeq(t, math.MaxInt)) // #nosec G115 -- before the year 2262
}

// releaseAhead is how far beyond the time ReleaseDue looks for the next row: farther than what is
// known of the server's clock may be off.
const releaseAhead = 10 * time.Second

// ReleaseDue implements outbox.DueReleaser. It costs one round trip, and one more when rows are
// due.
func (q *Queue) ReleaseDue(ctx context.Context, most int) (out outbox.Released, err error) {
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	rows, err := q.firstScheduled(ctx, min(most, maxBatch))
	if err == nil && len(rows) > 0 {
		now := rows[0].Now
		due := 0
		for due < len(rows) && !rows[due].At.After(now) {
			due++
		}
		if due < len(rows) {
			out.Next = rows[due].At.Sub(now)
		}
		out.Rows, err = q.releaseRows(ctx, rows[:due], now)
	}
	if err != nil {
		return outbox.Released{}, q.callFailed("release due rows", err)
	}
	return out, nil
}

// firstScheduled returns rows that are due, or will be soon, earliest first.
func (q *Queue) firstScheduled(ctx context.Context, most int) (rows []*storedRow, err error) {
	at, err := q.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	stages := bson.A{
		expr.Op("$match", scheduledCondition(lastSeqAt(at.Time.Add(releaseAhead)))),
		expr.Op("$sort", byDue.Keys()), expr.Op("$limit", most),
		expr.Op("$project", bson.D{expr.Field("key", 1), expr.Field("at", 1), expr.Field("scheduled", 1)}),
	}
	err = q.readRows(ctx, stages, most, func(s *storedRow) bool {
		rows = append(rows, s)
		return true
	})
	return rows, err
}

// scheduledCondition finds scheduled rows by their index, up to one that is due.
func scheduledCondition(last int64) bson.D {
	return expr.Op("scheduled", bson.D{expr.Field("$gt", int64(0)), expr.Field("$lte", last)})
}

// releaseRows makes rows pending that were due at a time, unless they were cancelled or moved
// since. The rows of a key are changed by one write after the other: none is pending before those
// that are due before it.
func (q *Queue) releaseRows(ctx context.Context, rows []*storedRow, now time.Time) (int, error) {
	var models []driver.WriteModel
	for _, ids := range releaseRounds(rows) {
		filter := append(bson.D{expr.Field("_id", expr.Op("$in", ids)), expr.Field("status", outbox.Scheduled.String())}, scheduledCondition(lastSeqAt(now))...)
		models = append(models, driver.NewUpdateManyModel().SetFilter(filter).SetHint(expr.ByID()).SetUpdate(bson.D{
			expr.Field("$set", expr.Op("status", outbox.Pending.String())), expr.Field("$inc", expr.Op("version", int64(1))), expr.Field("$unset", expr.Op("scheduled", "")),
		}))
	}
	if len(models) == 0 {
		return 0, nil
	}
	res, refused, err := mongoserver.Write(ctx, q.rows, models, true)
	switch {
	case err != nil:
		return 0, err
	case len(refused) > 0:
		return 0, refused[0].WriteError
	}
	return int(res.ModifiedCount), nil
}

// releaseRounds are the ids of rows, in order, in as few rounds as have each key once at most.
func releaseRounds(rows []*storedRow) (rounds [][]string) {
	seen := map[string]int{}
	for _, s := range rows {
		round := seen[s.Key]
		if s.Key != "" {
			seen[s.Key]++
		}
		if round == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[round] = append(rounds[round], s.RowID)
	}
	return rounds
}

// Scheduled implements outbox.Schedules.
func (q *Queue) Scheduled(ctx context.Context, f outbox.Filter, after outbox.Row, limit int) ([]outbox.Row, error) {
	ctx, cancel := q.boundOperation(ctx)
	defer cancel()
	f.Status = outbox.Scheduled
	filter, err := q.filterOf(ctx, &f)
	if err != nil || limit <= 0 {
		return nil, err
	}
	from := int64(min(after.Seq, math.MaxInt64)) // #nosec G115 -- bounded
	filter = append(filter, expr.Field("scheduled", expr.Op("$gte", max(from, 1))))
	behind := bson.A{expr.Op("scheduled", expr.Op("$gt", from)), expr.Op("_id", expr.Op("$gt", after.ID))}
	stages := bson.A{
		expr.Op("$match", filter), expr.Op("$match", expr.Op("$or", behind)),
		expr.Op("$sort", bson.D{expr.Field("scheduled", 1), expr.Field("_id", 1)}), expr.Op("$limit", min(limit, math.MaxInt32)),
	}
	var rows []outbox.Row
	if err = q.readRows(ctx, stages, limit, func(s *storedRow) bool {
		rows = append(rows, s.toRow())
		return true
	}); err != nil {
		return nil, q.callFailed("list what is scheduled", err)
	}
	return rows, nil
}

// Cancel implements outbox.Schedules. It joins the transaction in ctx, if there is one: then it
// holds once that commits, and the row is published if it aborts. A drainer that makes the row
// pending meanwhile makes the server abort it, for the driver to run it again.
func (q *Queue) Cancel(ctx context.Context, rowID string) (outbox.Change, error) {
	return q.changeScheduled(ctx, "cancel", rowID, func(ctx context.Context, filter bson.D) (int64, error) {
		res, err := q.rows.DeleteOne(ctx, filter, options.DeleteOne().SetHint(expr.ByID()))
		if err != nil {
			return 0, err
		}
		return res.DeletedCount, nil
	})
}

// Move implements outbox.Schedules. It joins the transaction in ctx as Cancel does.
func (q *Queue) Move(ctx context.Context, rowID string, t time.Time) (outbox.Change, error) {
	return q.changeScheduled(ctx, "move", rowID, func(ctx context.Context, filter bson.D) (int64, error) {
		now, err := q.clock.Read(driver.NewSessionContext(ctx, nil))
		if err == nil {
			err = bus.CheckDue(t, now.Time)
		}
		if err != nil {
			return 0, err
		}
		if t.Before(now.Time) {
			t = now.Time
		}
		var moved storedRow
		moved.scheduleAt(t, 0)
		res, err := q.rows.UpdateOne(ctx, filter, bson.D{
			expr.Field("$set", bson.D{expr.Field("at", moved.At), expr.Field("seq", moved.Seq), expr.Field("scheduled", moved.Scheduled)}),
			expr.Field("$inc", expr.Op("version", int64(1))),
		}, options.UpdateOne().SetHint(expr.ByID()))
		if err != nil {
			return 0, err
		}
		return res.MatchedCount, nil
	})
}

// changeScheduled changes a row while it is scheduled, and otherwise says what it is.
func (q *Queue) changeScheduled(ctx context.Context, call, rowID string, do func(context.Context, bson.D) (int64, error)) (outbox.Change, error) {
	bounded, cancel, err := q.boundChange(ctx)
	if err != nil {
		return outbox.NotFound, fmt.Errorf("outbox/mongo: %s in %s.%s: %w", call, q.rows.Database().Name(), q.rows.Name(), err)
	}
	defer cancel()
	n, err := do(bounded, bson.D{expr.Field("_id", rowID), expr.Field("status", outbox.Scheduled.String())})
	if err == nil && n > 0 {
		return outbox.Changed, nil
	}
	var rows map[string]*storedRow
	if err == nil {
		rows, err = q.rowsByID(bounded, []string{rowID})
	}
	switch {
	case err != nil:
		return outbox.NotFound, q.callFailed(call, err)
	case rows[rowID] == nil:
		return outbox.NotFound, nil
	case rows[rowID].Status == outbox.Scheduled.String():
		return outbox.NotFound, q.callFailed(call, fmt.Errorf("row %.64q was added meanwhile; retry", rowID))
	}
	return outbox.TooLate, nil
}

// boundChange bounds a call that joins the transaction in ctx, if there is one.
func (q *Queue) boundChange(ctx context.Context) (context.Context, context.CancelFunc, error) {
	sess := driver.SessionFromContext(ctx)
	if sess == nil || !sess.TransactionRunning() {
		ctx, cancel := q.boundCall(ctx)
		return ctx, cancel, nil
	}
	if err := q.requireTransaction(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	return ctx, cancel, nil
}
