package mongodoc

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// topLevel is the top level of a document of the caller's. Values of a bson.D, a bson.M and a
// map stay as they are, for the caller's own registry to encode; anything else is encoded by
// the default one.
func topLevel(document any) (bson.D, error) {
	switch d := document.(type) {
	case nil:
		return nil, errors.New("it is nil")
	case bson.D:
		return d, nil
	case bson.M:
		return sortedFields(d), nil
	case map[string]any:
		return sortedFields(d), nil
	}
	v, err := encodeValue(document)
	if err != nil {
		return nil, fmt.Errorf("it is a %T that is no document: %w", document, err)
	}
	b, ok := v.DocumentOK()
	if !ok {
		return nil, fmt.Errorf("it is a %T that is no document", document)
	}
	all, err := b.Elements()
	if err != nil {
		return nil, fmt.Errorf("it is no document: %w", err)
	}
	d := make(bson.D, len(all))
	for i, e := range all {
		d[i] = expr.Field(e.Key(), e.Value())
	}
	return d, nil
}

func sortedFields(m map[string]any) bson.D {
	d := make(bson.D, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		d = append(d, expr.Field(name, m[name]))
	}
	return d
}

// encodeValue is a value of the caller's as the default registry has it.
func encodeValue(value any) (bson.RawValue, error) {
	if value == nil {
		return bson.RawValue{Type: bson.TypeNull}, nil
	}
	t, b, err := bson.MarshalValue(value)
	return bson.RawValue{Type: t, Value: b}, err
}
