package projector

import (
	"cmp"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// position orders events, as documents have it: servers compare it as a whole, field by field.
type position struct {
	// Incarnation is when the stream was created, in nanoseconds since 1970: what a stream that was
	// made again has is newer than all of the one before.
	Incarnation int64 `bson:"incarnation"`
	Sequence    int64 `bson:"sequence"`
}

func positionOf(at bus.Position) (position, error) {
	created, ok := at.Created()
	if !ok || at.Sequence == 0 {
		return position{}, fmt.Errorf("the position %q of the event does not say when its stream was created, and its sequence: the bus must report both", at)
	}
	return position{Incarnation: created.UnixNano(), Sequence: int64(at.Sequence)}, nil
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Incarnation, q.Incarnation), cmp.Compare(p.Sequence, q.Sequence))
}

// literal is the position in an expression, with the types and the order of fields that it is
// stored with.
func (p position) literal() bson.D {
	return expr.Literal(bson.D{{Key: "incarnation", Value: p.Incarnation}, {Key: "sequence", Value: p.Sequence}})
}

// positionField is where a document has the position of the event that it is made of.
const positionField = reservedField + ".position"

// newer is true of documents of an older event, and of those that have no position.
func (p position) newer() bson.D { return expr.Op("$lt", bson.A{"$" + positionField, p.literal()}) }

// older is true of documents of a newer event, and of those that have no position.
func (p position) older() bson.D {
	stored := "$" + positionField
	return expr.Op("$or", bson.A{expr.Op("$lte", bson.A{stored, nil}), expr.Op("$gt", bson.A{stored, p.literal()})})
}

// replaceIf is an update that replaces a document where the condition is true, and otherwise leaves
// it as it is.
func replaceIf(condition, document any) bson.A {
	return bson.A{expr.Op("$replaceWith", expr.Op("$cond", bson.A{condition, document, "$$ROOT"}))}
}
