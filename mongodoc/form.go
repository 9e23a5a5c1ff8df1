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

// form is the caller's update: operators, or a pipeline.
type form struct {
	operators bson.D
	pipeline  bson.A // nil: operators
	paths     []string
}

// newForm reads an update, and refuses what cannot be joined with the ledger's.
func newForm(update any, t *target) (*form, error) {
	f, err := parse(update)
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
		for _, e := range t.pin {
			if e.Key != "_id" && overlap(p, e.Key) {
				return nil, fmt.Errorf("the update changes %s, and the filter knows the document by %s: a repeat would not find it. Pin _id, or another key", p, e.Key)
			}
		}
	}
	return f, nil
}

// overlap reports whether a change of one path changes the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

func parse(update any) (*form, error) {
	switch update.(type) {
	case nil, bson.D, bson.M, map[string]any, bson.Raw, []byte:
	default:
		if v := reflect.ValueOf(update); v.Kind() == reflect.Slice {
			return stages(v)
		}
	}
	all, err := elements(update)
	if err != nil {
		return nil, err
	}
	f := &form{}
	for _, e := range all {
		if !strings.HasPrefix(e.Key, "$") {
			return nil, fmt.Errorf("it has the field %s, so it is a replacement, which would replace the marks too: use $set", e.Key)
		}
		inner, err := elements(e.Value)
		if err != nil {
			return nil, fmt.Errorf("its %s: %w", e.Key, err)
		}
		f.operators = append(f.operators, expr.Field(e.Key, slices.Clip(inner)))
		for _, p := range inner {
			f.paths = append(f.paths, p.Key)
			if to, ok := text(p.Value); ok && e.Key == "$rename" {
				f.paths = append(f.paths, to)
			}
		}
	}
	return f, nil
}

func stages(v reflect.Value) (*form, error) {
	f := &form{pipeline: bson.A{}}
	for i := range v.Len() {
		stage, err := elements(v.Index(i).Interface())
		if err == nil && len(stage) != 1 {
			err = errors.New("it must have one operator")
		}
		if err == nil {
			err = f.stage(stage[0])
		}
		if err != nil {
			return nil, fmt.Errorf("stage %d of %d: %w", i+1, v.Len(), err)
		}
		f.pipeline = append(f.pipeline, stage)
	}
	return f, nil
}

func (f *form) stage(e bson.E) error {
	switch e.Key {
	case "$set", "$addFields":
		inner, err := elements(e.Value)
		if err != nil {
			return fmt.Errorf("its %s: %w", e.Key, err)
		}
		for _, p := range inner {
			f.paths = append(f.paths, p.Key)
		}
		return nil
	case "$unset":
		return f.unset(e.Value)
	}
	return fmt.Errorf("it is %s, which may replace the marks too: only $set, $addFields and $unset can be used", e.Key)
}

func (f *form) unset(value any) error {
	if name, ok := text(value); ok {
		f.paths = append(f.paths, name)
		return nil
	}
	v, err := encoded(value)
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

func text(v any) (string, bool) {
	if r, ok := v.(bson.RawValue); ok {
		return r.StringValueOK()
	}
	s, ok := v.(string)
	return s, ok
}

// with is the update together with that of the ledger: an entry, and events. It leaves the
// form as it is.
func (f *form) with(entry bson.D, events bson.A) any {
	if f.pipeline != nil {
		return append(slices.Clip(f.pipeline), ledgerStage(entry, events))
	}
	all := slices.Clone(f.operators)
	all = join(all, "$inc", expr.Field(ledger.Seq, int64(1)), expr.Field(ledger.Since, int64(1)))
	push := []bson.E{expr.Field(ledger.Applied, entry)}
	if len(events) > 0 {
		push = append(push, expr.Field(ledger.Events, bson.D{expr.Field("$each", events)}))
		all = join(all, "$set", expr.Field(ledger.Waits, true))
	}
	return join(all, "$push", push...)
}

// join adds fields to those of an operator.
func join(all bson.D, operator string, fields ...bson.E) bson.D {
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
		expr.Field(ledger.Applied, appended(ledger.Applied, bson.A{entry})),
	}
	if len(events) > 0 {
		fields = append(fields, expr.Field(ledger.Events, appended(ledger.Events, events)), expr.Field(ledger.Waits, true))
	}
	return expr.Set(fields...)
}

// appended is an array with more at its end; one that is not there is empty.
func appended(name string, more bson.A) bson.D {
	there := bson.D{expr.Field("$ifNull", bson.A{"$" + name, bson.A{}})}
	return bson.D{expr.Field("$concatArrays", bson.A{there, expr.Literal(more)})}
}
