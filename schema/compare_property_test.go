package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A version that is said to read another one takes everything that the other one's producers write:
// what is valid there, and has no properties but those that it names. No document is found
// that shows the opposite, whatever the two schemas are.
func TestCompatibleVersionsReadWhatIsWritten(t *testing.T) {
	t.Parallel()
	compatible, valid := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		writer := drawSchema(t, 3)
		reader := mutate(t, writer, 3)
		if rapid.IntRange(0, 9).Draw(t, "fresh") == 0 {
			reader = drawSchema(t, 3)
		}
		w, r := parseDrawn(t, writer), parseDrawn(t, reader)
		if w == nil || r == nil {
			return
		}
		if len(compareVersions(numbered{2, r}, numbered{1, w})) > 0 {
			return
		}
		compatible++
		for range 20 {
			v := drawValue(t, writer, 4)
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if w.Validate(text) != nil || !writes(w, text) {
				continue
			}
			valid++
			if wrong := r.Validate(text); wrong != nil {
				t.Fatalf("reader %s\nwriter %s\ndocument %s: %v", mustJSON(t, reader), mustJSON(t, writer), text, wrong)
			}
		}
	})
	if compatible < 20 || valid < 100 {
		t.Errorf("only %d pairs were compatible, with %d documents: it proves little", compatible, valid)
	}
}

// The comparison also says no where it should: a version always reads itself.
func TestVersionReadsItself(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchema(t, 4)
		a, b := parseDrawn(t, s), parseDrawn(t, s)
		if a == nil {
			return
		}
		if found := compareVersions(numbered{2, a}, numbered{1, b}); len(found) > 0 {
			t.Fatalf("%s: %v", mustJSON(t, s), found)
		}
	})
}

func mustJSON(t *rapid.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parseDrawn(t *rapid.T, s any) *Document {
	d, err := Parse([]byte(mustJSON(t, s)))
	if err != nil {
		t.Fatalf("%s: %v", mustJSON(t, s), err)
	}
	return d
}

// writes reports whether a producer of a schema writes a document: it is valid also when objects
// that name properties, and say nothing of others, have no others.
func writes(w *Document, text []byte) bool {
	v, err := decodeJSON(text)
	return err == nil && writesValue(flatten(place{w, "", w.root}), v)
}

func writesValue(ps []part, v any) bool {
	if branches := alternatives(ps); branches != nil {
		return slices.ContainsFunc(branches, func(branch []part) bool { return writesValue(branch, v) })
	}
	if slices.ContainsFunc(ps, func(p part) bool { return p.never || !p.accepts(v) }) {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		props := writtenBy(ps)
		for name, value := range v {
			of, named := props.named[name]
			if !named && !props.open && len(props.patterns) == 0 || named && !writesValue(of, value) || !named && props.open && !writesValue(props.others, value) {
				return false
			}
		}
	case []any:
		for i, item := range v {
			var of []part
			for j := range ps {
				if ps[j].node == nil {
					continue
				}
				what := itemsOf(&ps[j])
				if p, ok := what.item(i); ok {
					of = append(of, flatten(p)...)
				}
			}
			if !writesValue(of, item) {
				return false
			}
		}
	}
	return true
}

var names = []string{"a", "b", "c"}

type node = map[string]any

// drawSchema draws a schema without references.
func drawSchema(t *rapid.T, depth int) any {
	s := node{}
	if rapid.IntRange(0, 19).Draw(t, "bool") == 0 {
		return rapid.Bool().Draw(t, "schema")
	}
	draw := func(keyword string, one int) bool { return rapid.IntRange(0, one).Draw(t, keyword) == 0 }
	if !draw("untyped", 4) {
		s["type"] = drawTypes(t)
	}
	if draw("enum", 8) {
		s["enum"] = rapid.SliceOfNDistinct(rapid.SampledFrom([]any{nil, true, 1, 2.5, "a", "bb"}), 1, 3, func(v any) string { return fmt.Sprint(v) }).Draw(t, "values")
	}
	for _, keyword := range []string{"minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "minProperties", "maxProperties"} {
		if draw(keyword, 9) {
			s[keyword] = rapid.IntRange(0, 3).Draw(t, "bound")
		}
	}
	if draw("multipleOf", 15) {
		s["multipleOf"] = rapid.SampledFrom([]any{1, 2, 0.5}).Draw(t, "multiple")
	}
	if draw("pattern", 15) {
		s["pattern"] = rapid.SampledFrom([]any{"^a", "b"}).Draw(t, "pattern")
	}
	if draw("uniqueItems", 15) {
		s["uniqueItems"] = true
	}
	if draw("required", 4) {
		s["required"] = rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 2, rapid.ID[string]).Draw(t, "required")
	}
	if depth > 0 {
		drawInner(t, s, depth-1)
	}
	return s
}

func drawTypes(t *rapid.T) any {
	types := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"null", "boolean", "object", "object", "array", "string", "number", "integer"}), 1, 2, rapid.ID[string]).Draw(t, "types")
	if len(types) == 1 {
		return types[0]
	}
	return types
}

func drawInner(t *rapid.T, s node, depth int) {
	inner := func(keyword string, one int) {
		if rapid.IntRange(0, one).Draw(t, keyword) == 0 {
			s[keyword] = drawSchema(t, depth)
		}
	}
	if rapid.IntRange(0, 1).Draw(t, "properties") == 0 {
		of := node{}
		for _, name := range names {
			if rapid.Bool().Draw(t, "property") {
				of[name] = drawSchema(t, depth)
			}
		}
		s["properties"] = of
	}
	inner("additionalProperties", 4)
	inner("items", 3)
	inner("not", 25)
	inner("contains", 25)
	inner("propertyNames", 25)
	for _, keyword := range []string{"allOf", "anyOf", "oneOf", "prefixItems"} {
		if rapid.IntRange(0, 7).Draw(t, keyword) == 0 {
			list := make([]any, rapid.IntRange(1, 2).Draw(t, "length"))
			for i := range list {
				list[i] = drawSchema(t, depth)
			}
			s[keyword] = list
		}
	}
	if rapid.IntRange(0, 12).Draw(t, "patternProperties") == 0 {
		s["patternProperties"] = node{rapid.SampledFrom([]string{"^a", "b|c"}).Draw(t, "pattern"): drawSchema(t, depth)}
	}
}

// mutate changes a schema in few places.
func mutate(t *rapid.T, schema any, depth int) any {
	s, ok := schema.(node)
	if !ok || rapid.IntRange(0, 12).Draw(t, "replaced") == 0 {
		return drawSchema(t, max(depth-1, 0))
	}
	fresh, _ := drawSchema(t, max(depth, 0)).(node)
	out := node{}
	for _, keyword := range sortedNames(s) {
		value := s[keyword]
		switch of := value.(type) {
		case node:
			if slices.Contains(mapKeywords, keyword) {
				copied := node{}
				for _, name := range sortedNames(of) {
					if rapid.IntRange(0, 5).Draw(t, "dropped") > 0 {
						copied[name] = mutate(t, of[name], depth-1)
					}
				}
				value = copied
			} else {
				value = mutate(t, of, depth-1)
			}
		case []any:
			if slices.Contains(listKeywords, keyword) {
				copied := slices.Clone(of)
				for i := range copied {
					copied[i] = mutate(t, copied[i], depth-1)
				}
				value = copied
			}
		}
		switch rapid.IntRange(0, 12).Draw(t, "change") {
		case 0: // it goes
		case 1:
			if other, ok := fresh[keyword]; ok {
				value = other
			}
			fallthrough
		default:
			out[keyword] = value
		}
	}
	for _, keyword := range sortedNames(fresh) {
		if _, ok := out[keyword]; !ok && rapid.IntRange(0, 15).Draw(t, "added") == 0 {
			out[keyword] = fresh[keyword]
		}
	}
	return out
}

// drawValue draws a value that is likely to be valid.
func drawValue(t *rapid.T, schema any, depth int) any {
	s, _ := schema.(node)
	if list, ok := s["enum"].([]any); ok {
		return rapid.SampledFrom(list).Draw(t, "value")
	}
	for _, keyword := range []string{"anyOf", "oneOf", "allOf"} {
		if list, ok := s[keyword].([]any); ok && rapid.IntRange(0, 2).Draw(t, "branch") > 0 {
			return drawValue(t, rapid.SampledFrom(list).Draw(t, keyword), depth)
		}
	}
	kind := rapid.SampledFrom([]string{"null", "boolean", "object", "object", "array", "string", "number", "integer"}).Draw(t, "kind")
	switch of := s["type"].(type) {
	case string:
		kind = of
	case []string:
		kind = rapid.SampledFrom(of).Draw(t, "kind")
	}
	switch kind {
	case "null":
		return nil
	case "boolean":
		return rapid.Bool().Draw(t, "value")
	case "string":
		return rapid.StringMatching("[ab]{0,4}").Draw(t, "value")
	case "integer":
		return rapid.IntRange(-1, 5).Draw(t, "value")
	case "number":
		return float64(rapid.IntRange(-2, 10).Draw(t, "value")) / 2
	}
	if depth == 0 {
		return nil
	}
	if kind == "array" {
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, s["items"], depth-1)
		}
		return list
	}
	out := node{}
	properties, _ := s["properties"].(node)
	for _, name := range append(slices.Clone(names), "d") {
		if rapid.IntRange(0, 2).Draw(t, "set") > 0 {
			of, ok := properties[name]
			if !ok {
				of = s["additionalProperties"]
			}
			out[name] = drawValue(t, of, depth-1)
		}
	}
	return out
}
