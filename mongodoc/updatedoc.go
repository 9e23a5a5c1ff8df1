package mongodoc

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// updateDoc is the caller's update: operators, or a pipeline.
type updateDoc struct {
	operators bson.D
	pipeline  bson.A // nil: operators
	paths     []string
}

// newUpdateDoc reads an update, and refuses what cannot be joined with the ledger's.
func newUpdateDoc(update any, t *filterTarget) (*updateDoc, error) {
	f, err := parseUpdate(update)
	if err != nil {
		return nil, fmt.Errorf("the update: %w", err)
	}
	for _, p := range f.paths {
		switch {
		case ledger.Reserved(p):
			return nil, fmt.Errorf("the update changes %s: the field %s is reserved, for it has the marks", p, ledger.Field)
		case slices.Contains(strings.Split(p, "."), "$"):
			return nil, fmt.Errorf("the update changes %s: there is more than one array in the condition, so use UpdateOptions.ArrayFilters and $[name] in place of $", p)
		}
		for _, e := range t.uniqueFilter {
			if e.Key != "_id" && pathsOverlap(p, e.Key) {
				return nil, fmt.Errorf("the update changes %s, and the filter knows the document by %s: a repeat would not find it. Pin _id, or another key", p, e.Key)
			}
		}
	}
	return f, nil
}

// pathsOverlap reports whether a change of one path changes the other.
func pathsOverlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

func parseUpdate(update any) (*updateDoc, error) {
	switch update.(type) {
	case nil, bson.D, bson.M, map[string]any, bson.Raw, []byte:
	default:
		if v := reflect.ValueOf(update); v.Kind() == reflect.Slice {
			return parseStages(v)
		}
	}
	all, err := topLevel(update)
	if err != nil {
		return nil, err
	}
	f := &updateDoc{}
	for _, e := range all {
		if !strings.HasPrefix(e.Key, "$") {
			return nil, fmt.Errorf("it has the field %s, so it is a replacement, which would replace the marks too: use $set", e.Key)
		}
		inner, err := topLevel(e.Value)
		if err != nil {
			return nil, fmt.Errorf("its %s: %w", e.Key, err)
		}
		f.operators = append(f.operators, expr.Field(e.Key, slices.Clip(inner)))
		for _, p := range inner {
			f.paths = append(f.paths, p.Key)
			if to, ok := asString(p.Value); ok && e.Key == "$rename" {
				f.paths = append(f.paths, to)
			}
		}
	}
	return f, nil
}

func parseStages(v reflect.Value) (*updateDoc, error) {
	f := &updateDoc{pipeline: bson.A{}}
	for i := range v.Len() {
		stage, err := topLevel(v.Index(i).Interface())
		if err == nil && len(stage) != 1 {
			err = errors.New("it must have one operator")
		}
		if err == nil {
			err = f.addStage(stage[0])
		}
		if err != nil {
			return nil, fmt.Errorf("stage %d of %d: %w", i+1, v.Len(), err)
		}
		f.pipeline = append(f.pipeline, stage)
	}
	return f, nil
}

func (f *updateDoc) addStage(e bson.E) error {
	switch e.Key {
	case "$set", "$addFields":
		inner, err := topLevel(e.Value)
		if err != nil {
			return fmt.Errorf("its %s: %w", e.Key, err)
		}
		for _, p := range inner {
			f.paths = append(f.paths, p.Key)
		}
		return nil
	case "$unset":
		return f.addUnset(e.Value)
	}
	return fmt.Errorf("it is %s, which may replace the marks too: only $set, $addFields and $unset can be used", e.Key)
}

func (f *updateDoc) addUnset(value any) error {
	if name, ok := asString(value); ok {
		f.paths = append(f.paths, name)
		return nil
	}
	v, err := encodeValue(value)
	if err != nil {
		return fmt.Errorf("its $unset: %w", err)
	}
	var names []string
	if err := v.Unmarshal(&names); err != nil {
		return fmt.Errorf("its $unset must be a name or an array of names: %w", err)
	}
	f.paths = append(f.paths, names...)
	return nil
}

func asString(v any) (string, bool) {
	if r, ok := v.(bson.RawValue); ok {
		return r.StringValueOK()
	}
	s, ok := v.(string)
	return s, ok
}

// withLedger is the update together with that of the ledger: an entry, and events. It leaves the
// form as it is.
func (f *updateDoc) withLedger(entry bson.D, events bson.A) any {
	if f.pipeline != nil {
		return append(slices.Clip(f.pipeline), ledgerStage(entry, events))
	}
	all := slices.Clone(f.operators)
	all = joinOperator(all, "$inc", expr.Field(ledger.Seq, int64(1)), expr.Field(ledger.Since, int64(1)))
	push := []bson.E{expr.Field(ledger.Applied, entry)}
	if len(events) > 0 {
		push = append(push, expr.Field(ledger.Events, bson.D{expr.Field("$each", events)}))
		all = joinOperator(all, "$set", expr.Field(ledger.Waits, true))
	}
	return joinOperator(all, "$push", push...)
}

func joinOperator(all bson.D, operator string, fields ...bson.E) bson.D {
	for i, e := range all {
		if inner, ok := e.Value.(bson.D); ok && e.Key == operator {
			all[i].Value = append(slices.Clip(inner), fields...)
			return all
		}
	}
	return append(all, expr.Field(operator, bson.D(fields)))
}

func ledgerStage(entry bson.D, events bson.A) bson.D {
	fields := []bson.E{
		expr.Field(ledger.Seq, expr.Plus(ledger.Seq, int64(1))),
		expr.Field(ledger.Since, expr.Plus(ledger.Since, int64(1))),
		expr.Field(ledger.Applied, arrayAppend(ledger.Applied, bson.A{entry})),
	}
	if len(events) > 0 {
		fields = append(fields, expr.Field(ledger.Events, arrayAppend(ledger.Events, events)), expr.Field(ledger.Waits, true))
	}
	return expr.Set(fields...)
}

// arrayAppend is an array with more at its end; one that is not there is empty.
func arrayAppend(name string, more bson.A) bson.D {
	there := bson.D{expr.Field("$ifNull", bson.A{"$" + name, bson.A{}})}
	return bson.D{expr.Field("$concatArrays", bson.A{there, expr.Literal(more)})}
}
