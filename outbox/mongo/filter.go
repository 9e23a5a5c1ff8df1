package mongo

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
	"github.com/onceish/onceish/outbox"
)

func (q *Queue) filterOf(ctx context.Context, f *outbox.Filter) (bson.D, error) {
	d := bson.D{}
	switch {
	case f.Status != 0:
		d = append(d, expr.Field("status", f.Status.String()))
	case f.Key != "": // the index that has hashes begins with it
		d = append(d, expr.Field("status", expr.Op("$in", statusNames())))
	}
	if len(f.IDs) > 0 {
		d = append(d, expr.Field("$or", eventsCondition(f.IDs)))
	}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return nil, fmt.Errorf("outbox/mongo: the filter: %w", err)
		}
		d = append(d, expr.Field("topic", topicCondition(f.Topic)))
	}
	if f.Key != "" {
		d = append(d, expr.Field("hash", int64(outbox.Hash(f.Key, ""))), expr.Field("key", f.Key))
	}
	added, err := q.timeCondition(ctx, f.From, f.To)
	if err != nil {
		return nil, q.callFailed("the filter", err)
	}
	if len(added) > 0 {
		d = append(d, expr.Field("ts", added))
	}
	return d, nil
}

// statusNames are those of all rows.
func statusNames() (names bson.A) {
	for _, s := range outbox.Statuses() {
		names = append(names, s.String())
	}
	return names
}

// timeCondition is the condition that a time is in a span. What is so long ago is so by the
// server's clock, and rather too much is found than too little.
func (q *Queue) timeCondition(ctx context.Context, from, to outbox.Moment) (span bson.D, err error) {
	var now serverclock.Instant
	if from.Ago != 0 || to.Ago != 0 {
		if now, err = q.clock.Read(ctx); err != nil {
			return nil, err
		}
	}
	if !from.IsZero() {
		span = append(span, expr.Field("$gte", ceilMillis(from.On(now.Time.Add(-now.Doubt)))))
	}
	if !to.IsZero() {
		span = append(span, expr.Field("$lt", ceilMillis(to.On(now.Time.Add(now.Doubt)))))
	}
	return span, nil
}

// ceilMillis returns the time in whole milliseconds, as servers keep it, rounded up: what is at or
// after one is at or after the other.
func ceilMillis(t time.Time) time.Time {
	return t.Add(time.Millisecond - time.Nanosecond).Truncate(time.Millisecond)
}

// eventsCondition finds the rows of events by their ids, by the index that all collections have.
func eventsCondition(ids []string) bson.A {
	each := make(bson.A, len(ids))
	for i, id := range ids {
		from := outbox.RowIDPrefix(id)
		each[i] = expr.Op("_id", bson.D{expr.Field("$gte", from), expr.Field("$lt", strings.TrimSuffix(from, " ")+"!")})
	}
	return each
}

// topicCondition finds a topic, or the topics that a pattern matches, as bus.Match does.
func topicCondition(pattern string) any {
	tokens := strings.Split(pattern, ".")
	literal := true
	for i, token := range tokens {
		switch token {
		case "*":
			tokens[i], literal = `[^.]+`, false
		case ">":
			tokens[i], literal = `.+`, false
		default:
			tokens[i] = regexp.QuoteMeta(token)
		}
	}
	if literal {
		return pattern
	}
	return bson.Regex{Pattern: "^" + strings.Join(tokens, `\.`) + "$"}
}
