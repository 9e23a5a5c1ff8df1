package projector

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// row is a document as an event makes it.
type row struct {
	item   *item
	key    string
	body   bson.D // without _id; nil for a tombstone
	claims []*claim
}

// Fields of the reserved field.
const (
	// hiddenField is there in what is no document to readers: tombstones, owners of values, and the
	// progress of a rebuild.
	hiddenField   = reservedField + ".hidden"
	deletedField  = reservedField + ".deleted"
	withheldField = reservedField + ".withheld"
)

// Visible is a filter that leaves out what a projection keeps in its collection beside the
// documents. Readers add it to theirs.
func Visible() bson.D { return bson.D{{Key: hiddenField, Value: nil}} }

func (u *upserts) newRow(it *item) (*row, error) {
	body, err := it.change.encodeBody()
	if err != nil {
		return nil, err
	}
	r := &row{item: it, key: it.change.key, body: body}
	for i := range u.o.Unique {
		c, err := newClaim(r, &u.o.Unique[i])
		if err != nil {
			return nil, err
		}
		if c != nil {
			r.claims = append(r.claims, c)
		} else { // of null there would be one in the index
			r.body = slices.DeleteFunc(r.body, func(f bson.E) bool { return f.Key == u.o.Unique[i].Field })
		}
	}
	return r, nil
}

// newClaim returns the claim of a row to its value of a unique field; nil if it has none.
func newClaim(r *row, u *Unique) (*claim, error) {
	for _, f := range r.body {
		if f.Key != u.Field {
			continue
		}
		value, err := uniqueValue(f.Value.(bson.RawValue)) //nolint:forcetypeassert,errcheck // bodyOf makes them
		switch {
		case err != nil:
			return nil, fmt.Errorf("the unique field %q of the document %.128q: %w", u.Field, r.key, err)
		case value == nil:
			return nil, nil //nolint:nilnil // it claims nothing
		}
		return &claim{Unique: u, row: r, value: value, id: bson.D{{Key: "unique", Value: u.Field}, {Key: "value", Value: value}}}, nil
	}
	return nil, nil //nolint:nilnil // it claims nothing
}

// model writes the row, unless the document is of the same event or of a newer one.
func (r *row) model() driver.WriteModel {
	return driver.NewUpdateOneModel().SetUpsert(true).SetFilter(expr.Op("_id", r.key)).
		SetUpdate(replaceIf(r.item.at.newer(), r.document()))
}

// document is an expression.
func (r *row) document() bson.D {
	if r.body == nil {
		return bson.D{{Key: "_id", Value: "$_id"}, {Key: reservedField, Value: bson.D{
			{Key: "hidden", Value: true}, {Key: "position", Value: r.item.at.literal()}, {Key: "deleted", Value: expr.Now},
		}}}
	}
	own := bson.D{{Key: "position", Value: r.item.at}}
	shown, withheld := r.splitBody()
	if len(withheld) > 0 {
		own = append(own, bson.E{Key: "withheld", Value: withheld})
	}
	doc := make(bson.D, 0, len(shown)+2)
	doc = append(append(append(doc, bson.E{Key: "_id", Value: r.key}), shown...), bson.E{Key: reservedField, Value: own})
	return expr.Literal(doc)
}

// splitBody splits off the fields whose value is another document's.
func (r *row) splitBody() (shown, withheld bson.D) {
	if !r.isWithheld() {
		return r.body, nil
	}
	for _, f := range r.body {
		if r.withholds(f.Key) {
			withheld = append(withheld, f)
		} else {
			shown = append(shown, f)
		}
	}
	return shown, withheld
}

func (r *row) withholds(field string) bool {
	for _, c := range r.claims {
		if c.Field == field {
			return c.owner.Key != r.key
		}
	}
	return false
}

// isWithheld reports whether any field is.
func (r *row) isWithheld() bool {
	for _, c := range r.claims {
		if c.owner.Key != r.key {
			return true
		}
	}
	return false
}
