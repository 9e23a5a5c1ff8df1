package mongo

import (
	"fmt"
	"regexp"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// filterOf is what finds the rows that an operator means.
func filterOf(f *outbox.Filter) (bson.D, error) {
	d := bson.D{}
	switch {
	case f.Status != 0:
		d = append(d, field("status", f.Status.String()))
	case f.Key != "": // the index that has hashes begins with it
		d = append(d, field("status", op("$in", bson.A{outbox.Pending.String(), outbox.Sent.String(), outbox.Dead.String()})))
	}
	if len(f.IDs) > 0 {
		d = append(d, field("$or", ofEvents(f.IDs)))
	}
	if f.Topic != "" {
		if err := bus.ValidPattern(f.Topic); err != nil {
			return nil, fmt.Errorf("outbox/mongo: the filter: %w", err)
		}
		d = append(d, field("topic", matching(f.Topic)))
	}
	if f.Key != "" {
		d = append(d, field("hash", int64(outbox.Hash(f.Key, ""))), field("key", f.Key))
	}
	var added bson.D
	if !f.From.IsZero() {
		added = append(added, field("$gte", ceil(f.From)))
	}
	if !f.To.IsZero() {
		added = append(added, field("$lt", ceil(f.To)))
	}
	if len(added) > 0 {
		d = append(d, field("ts", added))
	}
	return d, nil
}

// ofEvents finds the rows of events by their ids, by the index that all collections have.
func ofEvents(ids []string) bson.A {
	each := make(bson.A, len(ids))
	for i, id := range ids {
		from := outbox.RowIDPrefix(id)
		each[i] = op("_id", bson.D{field("$gte", from), field("$lt", strings.TrimSuffix(from, " ")+"!")})
	}
	return each
}

// matching finds a topic, or the topics that a pattern matches, as bus.Match does.
func matching(pattern string) any {
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
