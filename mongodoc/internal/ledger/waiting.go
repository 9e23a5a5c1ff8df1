package ledger

import (
	"fmt"
	"math"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// Queue is the events that wait in a document, in order.
type Queue struct {
	// Base is the sequence before the first one's.
	Base   int64
	Events []Event

	hasBase bool // base is in the document
}

// ParseQueue reads the events of a reserved field. A document from which no event was taken yet
// starts at the time in nanoseconds of its first one: above what a document that was there before
// it, under the same key, came to.
func ParseQueue(field bson.RawValue) (*Queue, error) {
	doc, ok := field.DocumentOK()
	if !ok {
		return nil, fmt.Errorf("%w: it is of type %v", ErrMalformed, field.Type)
	}
	q := &Queue{}
	q.Base, q.hasBase = doc.Lookup("base").AsInt64OK()
	a, ok := doc.Lookup("events").ArrayOK()
	if !ok {
		return nil, fmt.Errorf("%w: %s is no array", ErrMalformed, Events)
	}
	values, err := a.Values()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, Events, err)
	}
	for _, v := range values {
		e, err := ParseEvent(v)
		if err != nil {
			return nil, err
		}
		q.Events = append(q.Events, e)
	}
	if len(q.Events) == 0 {
		return nil, fmt.Errorf("%w: %s is empty, and yet %s", ErrMalformed, Events, Waits)
	}
	if !q.hasBase {
		q.Base = q.Events[0].Added
	}
	if q.Base < 0 || q.Base > math.MaxInt64-int64(len(q.Events)) {
		return nil, fmt.Errorf("%w: %s is %d", ErrMalformed, BaseAt, q.Base)
	}
	return q, nil
}

// Seq is the sequence of the i-th event, from 0.
func (q *Queue) Seq(i int) uint64 { return uint64(q.Base) + uint64(i) + 1 }

// Taken is the filter and the update that take the first n events out of the document, unless
// somebody took some meanwhile.
func (q *Queue) Taken(id bson.RawValue, n int) (filter bson.D, update bson.A) {
	var base any // matches what is absent
	if q.hasBase {
		base = q.Base
	}
	filter = bson.D{{Key: "_id", Value: id}, {Key: BaseAt, Value: base}, {Key: Events + ".0.id", Value: q.Events[0].Event.ID}}
	more := expr.Op("$gt", bson.A{expr.Op("$size", "$"+Events), n})
	rest := expr.Op("$slice", bson.A{"$" + Events, n, math.MaxInt32})
	return filter, bson.A{expr.Op("$set", bson.D{
		{Key: Events, Value: expr.Op("$cond", bson.A{more, rest, "$$REMOVE"})},
		{Key: Waits, Value: expr.Op("$cond", bson.A{more, true, "$$REMOVE"})},
		{Key: BaseAt, Value: q.Base + int64(n)},
	})}
}
