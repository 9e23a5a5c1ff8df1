package projector

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Policy says which of several documents shows a value that they all have in a unique field. See
// "Unique fields".
type Policy string

// The policies.
const (
	// LastWins gives the value to the document whose event is the latest that had it.
	LastWins Policy = "last"
	// FirstWins gives the value to the document whose event was the first that ever had it.
	FirstWins Policy = "first"
	// DeadLetter is FirstWins, and dead-letters the events whose value is another document's when
	// they are handled.
	DeadLetter Policy = "dead-letter"
)

// Unique is a field that no two documents show with the same value. Documents without it are free;
// null is left out of the document.
type Unique struct {
	// Field at the top level of the document.
	Field string
	// Policy; default DeadLetter.
	Policy Policy
}

func checkUnique(us []Unique) ([]Unique, error) {
	us = slices.Clone(us)
	for i := range us {
		u := &us[i]
		switch {
		case u.Field == "" || u.Field == "_id" || u.Field == reservedField || strings.ContainsAny(u.Field, ".$\x00"):
			return nil, fmt.Errorf("Options.Unique[%d].Field is %.64q: name a field at the top level of the document, other than _id and %s", i, u.Field, reservedField)
		case slices.ContainsFunc(us[:i], func(o Unique) bool { return o.Field == u.Field }):
			return nil, fmt.Errorf("Options.Unique[%d].Field is %q once more: leave it out", i, u.Field)
		}
		switch u.Policy {
		case "":
			u.Policy = DeadLetter
		case LastWins, FirstWins, DeadLetter:
		default:
			return nil, fmt.Errorf("Options.Unique[%d].Policy is %.64q: it must be %s, %s or %s", i, u.Policy, LastWins, FirstWins, DeadLetter)
		}
	}
	return us, nil
}

// uniqueValue is a value as owners are known by it: numbers that servers take for the same are the
// same. It is nil for a document that has none.
func uniqueValue(v bson.RawValue) (any, error) {
	switch v.Type { //nolint:exhaustive // the others are refused
	case bson.TypeNull, 0:
		return nil, nil //nolint:nilnil // no value is no mistake
	case bson.TypeInt32:
		return int64(v.Int32()), nil
	case bson.TypeDouble:
		if f := v.Double(); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
		return v, nil
	case bson.TypeInt64, bson.TypeString, bson.TypeBoolean, bson.TypeObjectID, bson.TypeDateTime, bson.TypeBinary:
		return v, nil
	}
	return nil, errors.New("it is a value of type " + v.Type.String() + ": unique are strings, numbers, booleans, times, ids and bytes")
}
