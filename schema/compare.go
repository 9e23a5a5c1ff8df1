package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// maxSteps bounds a comparison: alternatives within alternatives multiply.
const maxSteps = 10_000

type budget struct{ steps int }

// comparison finds out whether a reader takes what a writer writes. Where it says nothing, it does.
// The reader is open: a property that it does not name is ignored. The writer is closed: it sets no
// property but those that it names, if it names any.
type comparison struct {
	reader, writer int
	found          []Difference
	seen           map[string]bool
	budget         *budget
}

func (c *comparison) report(at, format string, args ...any) {
	c.found = append(c.found, Difference{Reader: c.reader, Writer: c.writer, Path: at, Problem: fmt.Sprintf(format, args...)})
}

func (c *comparison) reportUndecided(at, format string, args ...any) {
	c.report(at, format, args...)
	c.found[len(c.found)-1].Undecided = true
}

// try compares apart, and returns what was found.
func (c *comparison) try(r place, w []part) []Difference {
	apart := &comparison{reader: c.reader, writer: c.writer, seen: maps.Clone(c.seen), budget: c.budget}
	apart.compare(r, w)
	return apart.found
}

// compare a schema of the reader with the parts that apply to the same value of the writer.
func (c *comparison) compare(r place, w []part) {
	if c.budget.steps--; c.budget.steps < 0 {
		if c.budget.steps == -1 {
			c.reportUndecided(r.at, "there are too many alternatives to compare")
		} else {
			c.reportUndecided(r.at, "it was not compared")
		}
		return
	}
	key := r.at + "\x01" + keyOf(w)
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	if r.takesAll() || never(w) || slices.ContainsFunc(w, func(p part) bool { return p.cut == "" && sameSchema(r, p.place) }) {
		return
	}
	if values, listed := valuesOf(w); listed {
		c.compareValues(r, values)
		return
	}
	if branches := alternatives(w); branches != nil {
		for _, branch := range branches {
			c.compare(r, branch)
		}
		return
	}
	for _, p := range flatten(r) {
		c.comparePart(&p, w)
	}
}

// alternatives replaces the first anyOf or oneOf of parts by each of its schemas; nil: there is
// none.
func alternatives(w []part) (out [][]part) {
	for i, p := range w {
		for _, keyword := range []string{"anyOf", "oneOf"} {
			list, ok := p.node[keyword].([]any)
			if !ok {
				continue
			}
			for token, child := range children(list) {
				branch := slices.Clone(w)
				branch[i] = p.without(keyword)
				out = append(out, append(branch, flatten(place{p.d, appendPointer(p.at, keyword, token), child})...))
			}
			return out
		}
	}
	return nil
}

// valuesOf are the values that parts allow, if those are few.
func valuesOf(w []part) (values []any, listed bool) {
	for _, p := range w {
		if v, ok := p.node["const"]; ok {
			values, listed = []any{v}, true
			break
		}
		if list, ok := p.node["enum"].([]any); ok {
			values, listed = list, true
			break
		}
	}
	if types := typesOf(w); !listed && types&^(typeNull|typeBoolean) == 0 {
		values, listed = []any{nil, true, false}, true
	}
	values = slices.DeleteFunc(slices.Clone(values), func(v any) bool {
		return slices.ContainsFunc(w, func(p part) bool { return !p.accepts(v) })
	})
	return values, listed
}

// accepts reports whether a value is valid under the schema at a place.
func (p place) accepts(v any) bool {
	if p.d == anything {
		return true // the part says the type alone, and the values are of it
	}
	s, err := p.d.compiled.part(p.at)
	return err == nil && s.Validate(v) == nil
}

func (c *comparison) compareValues(r place, values []any) {
	for _, v := range values {
		if !r.accepts(v) {
			text, err := json.Marshal(v)
			if err != nil {
				text = []byte("?") // it cannot be: it was read from JSON
			}
			c.report(r.at, "the value %s of version %d is not valid", clip(string(text), 64), c.writer)
		}
	}
}

// comparePart compares one part of the reader.
func (c *comparison) comparePart(r *part, w []part) {
	if r.never {
		c.report(r.at, "nothing is valid, and version %d writes %s", c.writer, typesOf(w))
		return
	}
	writes := typesOf(w)
	if more := writes &^ r.types(); more != 0 {
		c.report(appendPointer(r.at, "type"), "it is %s, and version %d writes %s", r.types(), c.writer, writes)
		writes &= r.types()
	}
	for _, keyword := range []string{"enum", "const"} {
		if _, ok := r.node[keyword]; ok {
			c.report(appendPointer(r.at, keyword), "it lists values, and version %d writes others", c.writer)
		}
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		c.compareAlternatives(r, keyword, w)
	}
	if writes&typeObject != 0 {
		c.compareObject(r, w)
	}
	if writes&typeArray != 0 {
		c.compareArray(r, w)
	}
	if writes&typeString != 0 {
		c.compareString(r, w)
	}
	if writes&(typeInteger|typeFraction) != 0 {
		c.compareNumber(r, w)
	}
	c.compareOthers(r, w)
}

// compareAlternatives finds one alternative of the reader that takes all, or one for each type.
func (c *comparison) compareAlternatives(r *part, keyword string, w []part) {
	list, ok := r.node[keyword].([]any)
	if !ok {
		return
	}
	branches := make([]place, len(list))
	for i := range list {
		branches[i] = place{r.d, appendPointer(r.at, keyword, fmt.Sprint(i)), list[i]}
	}
	var left typeSet
	for _, t := range splitTypes(typesOf(w)) {
		if !c.oneTakes(branches, ofType(w, t), keyword == "oneOf") {
			left |= t
		}
	}
	if left != 0 {
		c.reportUndecided(appendPointer(r.at, keyword), "no schema of it alone is known to take what version %d writes as %s", c.writer, left)
	}
}

// oneTakes reports whether one alternative takes what the parts write, and if that is asked for, no
// other one takes any of it.
func (c *comparison) oneTakes(branches []place, w []part, alone bool) bool {
	at := slices.IndexFunc(branches, func(b place) bool { return len(c.try(b, w)) == 0 })
	if at < 0 {
		return false
	}
	for i, other := range branches {
		if alone && i != at && !disjoint(flatten(other), w) {
			return false
		}
	}
	return true
}

// disjoint reports whether no value is valid under both. That is so for different types, and for
// objects with a property that is always there and has other values, such as the name of a kind.
func disjoint(other, w []part) bool {
	if never(append(slices.Clone(other), w...)) {
		return true
	}
	writes := writtenBy(w)
	for name := range required(w) {
		values, listed := valuesOf(writes.named[name])
		if !listed || typesOf(w)&^typeObject != 0 {
			continue
		}
		for _, p := range other {
			child, ok := p.child("properties", name)
			if ok && !slices.ContainsFunc(values, child.accepts) {
				return true
			}
		}
	}
	return false
}

// splitTypes are the types of a set one by one. Numbers stay together.
func splitTypes(set typeSet) (out []typeSet) {
	for _, t := range []typeSet{typeNull, typeBoolean, typeObject, typeArray, typeString, typeInteger | typeFraction} {
		if set&t != 0 {
			out = append(out, set&t)
		}
	}
	return out
}

// anything is where parts are that are in no schema.
var anything = &Document{root: true, draft: draft2020}

// ofType are parts that allow one set of types alone.
func ofType(w []part, set typeSet) []part {
	if typesOf(w) == set || len(w) == 0 && set == allTypes {
		return w
	}
	var names []any
	for name, t := range typeNames {
		if set&t == t {
			names = append(names, name)
		}
	}
	only := part{place: place{d: anything, value: true}, node: map[string]any{"type": names}, cut: "=" + set.String()}
	return append(slices.Clone(w), only)
}

// otherKeywords are those that are compared by their text alone, with those that belong to them.
var otherKeywords = [][]string{
	{"not"},
	{"if", "then", "else"},
	{"contains", "minContains", "maxContains"},
	{"propertyNames"},
	{"dependentRequired"},
	{"dependentSchemas"},
	{"dependencies"},
	{"contentEncoding", "contentMediaType", "contentSchema"},
}

// compareOthers takes what is the same in both, and leaves the rest undecided.
func (c *comparison) compareOthers(r *part, w []part) {
	for _, keyword := range []string{"unevaluatedItems", "unevaluatedProperties"} {
		if v, ok := r.node[keyword]; ok && v != true {
			c.reportUndecided(appendPointer(r.at, keyword), "%s is not compared", keyword)
		}
	}
	for _, keywords := range otherKeywords {
		i := slices.IndexFunc(keywords, func(k string) bool { _, ok := r.node[k]; return ok })
		if i < 0 || slices.ContainsFunc(w, func(p part) bool { return sameKeywords(r, &p, keywords) }) {
			continue
		}
		c.reportUndecided(appendPointer(r.at, keywords[i]), "%s is another one than in version %d, and is not compared", keywords[i], c.writer)
	}
}
