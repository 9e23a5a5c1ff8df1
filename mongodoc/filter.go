package mongodoc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// filterTarget is the one document that a filter is about.
type filterTarget struct {
	// filter is the caller's.
	filter bson.D
	// uniqueFilter is the part of it that no two documents match: _id, or a unique
	// key, by equality.
	uniqueFilter bson.D
	in           namespace
}

// stableName tells the target from others, in a text that is the same in every run.
func (t *filterTarget) stableName() string { return t.in.String() + "\x00" + string(t.encodedFilter()) }

// encodedFilter is the pin as it is sent.
func (t *filterTarget) encodedFilter() bson.Raw {
	pin, _ := bson.Marshal(t.uniqueFilter) // its values were encoded before
	return pin
}

// hasCondition reports whether the filter asks for more than the pinned document.
func (t *filterTarget) hasCondition() bool { return len(t.filter) > len(t.uniqueFilter) }

func (u *Updater) resolveTarget(ctx context.Context, in namespace, filter any) (*filterTarget, error) {
	all, err := topLevel(filter)
	if err != nil {
		return nil, fmt.Errorf("the filter: %w", err)
	}
	equal := make(bson.D, 0, len(all))
	for _, e := range all {
		if ledger.Reserved(e.Key) {
			return nil, fmt.Errorf("the filter asks for %s: the field %s is reserved", e.Key, ledger.Field)
		}
		if pinned, err := isEquality(e); err != nil {
			return nil, fmt.Errorf("the filter's %s: %w", e.Key, err)
		} else if pinned {
			equal = append(equal, e)
		}
	}
	t := &filterTarget{filter: all, in: in}
	if i := slices.IndexFunc(equal, func(e bson.E) bool { return e.Key == "_id" }); i >= 0 {
		t.uniqueFilter = equal[i : i+1 : i+1]
	} else if t.uniqueFilter, err = u.findUniqueFilter(ctx, in, equal); err != nil {
		return nil, err
	}
	return t, nil
}

// isEquality reports whether a condition is equality with a value that is there: neither an
// operator nor a pattern, nor null, which is equal to what is absent, nor an array, which is equal
// to an element too.
func isEquality(e bson.E) (bool, error) {
	if strings.HasPrefix(e.Key, "$") {
		return false, nil
	}
	v, err := encodeValue(e.Value)
	if err != nil {
		return false, err
	}
	if d, ok := v.DocumentOK(); ok {
		all, err := d.Elements()
		if err != nil {
			return false, err
		}
		if len(all) == 0 || !strings.HasPrefix(all[0].Key(), "$") {
			return true, nil
		}
		if len(all) > 1 || all[0].Key() != "$eq" {
			return false, nil
		}
		v = all[0].Value()
	}
	loose := []bson.Type{bson.TypeNull, bson.TypeUndefined, bson.TypeRegex, bson.TypeArray}
	return !slices.Contains(loose, v.Type), nil
}

var errNotUnique = errors.New("it pins no document: it must have _id, or every field of a unique index, equal to a value that is not null, at its top level. " +
	"Otherwise a repeat may change, or insert, another document")
