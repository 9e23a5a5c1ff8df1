package schema

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// quickCheck recognises most of what is valid, without saying what is wrong with the rest: for it,
// and for keywords that it does not know, there is the validator. It accepts nothing that the
// validator would not.
type quickCheck struct {
	types      typeSet
	required   []string
	properties map[string]*quickCheck
	closed     bool        // additionalProperties is false
	rest       *quickCheck // of other properties; nil: anything
	items      *quickCheck // nil: anything
	all        []*quickCheck
	texts      map[string]bool // of an enum or const of texts alone; nil: none
	pattern    *regexp.Regexp
	format     func(v any) error // the validator's; nil: none
	length     limits            // of texts, in characters
	count      limits            // of items
	number     limits
}

// limits are inclusive.
type limits struct{ low, high float64 }

func (l limits) holds(n float64) bool { return l.low <= n && n <= l.high }

// any reports whether there are none.
func (l limits) any() bool { return math.IsInf(l.low, -1) && math.IsInf(l.high, 1) }

// quickKeywords are those that quickCheck knows, and those that say nothing.
var quickKeywords = []string{
	"type", "required", "properties", "additionalProperties", "items", "allOf", "enum", "const", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "format", "$ref",
	"$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly",
}

// newQuickCheck returns nil if there is something in a schema that it does not know.
func newQuickCheck(d *Document) *quickCheck {
	b := &quickBuilder{d: d, made: map[string]*quickCheck{}}
	q := b.build(place{d, "", d.root})
	if b.failed {
		return nil
	}
	return q
}

// quickBuilder makes one quickCheck for each schema, for they may refer to each other.
type quickBuilder struct {
	d      *Document
	made   map[string]*quickCheck
	failed bool
}

func (b *quickBuilder) build(p place) *quickCheck {
	if q := b.made[p.at]; q != nil {
		return q
	}
	q := &quickCheck{types: allTypes}
	b.made[p.at] = q
	q.length, q.count, q.number = limits{math.Inf(-1), math.Inf(1)}, limits{math.Inf(-1), math.Inf(1)}, limits{math.Inf(-1), math.Inf(1)}
	node, ok := p.value.(map[string]any)
	if !ok {
		b.failed = b.failed || p.value != true
		return q
	}
	for keyword, value := range node {
		if !slices.Contains(quickKeywords, keyword) {
			b.failed = true
			return q
		}
		b.read(q, p, keyword, value)
	}
	return q
}

// read takes a keyword over.
func (b *quickBuilder) read(q *quickCheck, p place, keyword string, value any) {
	switch keyword {
	case "type":
		of := part{node: map[string]any{"type": value}}
		q.types = of.types()
	case "required":
		for _, name := range children(value) {
			text, _ := name.(string)
			q.required = append(q.required, text)
		}
	case "properties":
		q.properties = map[string]*quickCheck{}
		for name := range children(value) {
			q.properties[name] = b.child(p, "properties", name)
		}
	case "additionalProperties":
		if q.closed = value == false; !q.closed {
			q.rest = b.child(p, keyword)
		}
	case "items":
		_, isList := value.([]any)
		b.failed = b.failed || isList || value == false
		q.items = b.child(p, keyword)
	case "allOf":
		for token := range children(value) {
			q.all = append(q.all, b.build(b.at(appendPointer(p.at, keyword, token))))
		}
	case "$ref":
		ref, _ := value.(string)
		target, pointer, _ := lookUp(b.d.root, ref)
		q.all = append(q.all, b.build(place{b.d, pointer, target}))
		b.failed = b.failed || b.d.draft == draft7 && len(p.value.(map[string]any)) > 1 //nolint:errcheck // it is one: it has a keyword
	case "format":
		s, err := b.d.compiled.part(p.at)
		b.failed = b.failed || err != nil
		if err == nil && s.Format != nil {
			q.format = s.Format.Validate
		}
	default:
		b.readValue(q, keyword, value)
	}
}

func (b *quickBuilder) readValue(q *quickCheck, keyword string, value any) {
	limit := func(at *float64) {
		r := ratOf(value)
		if r == nil {
			b.failed = true
			return
		}
		var exact bool
		*at, exact = r.Float64()
		b.failed = b.failed || !exact || math.Abs(*at) > maxExact
	}
	switch keyword {
	case "enum", "const":
		list, ok := value.([]any)
		if keyword == "const" {
			list, ok = []any{value}, true
		}
		b.failed = b.failed || !ok || q.texts != nil
		q.texts = map[string]bool{}
		for _, v := range list {
			text, isText := v.(string)
			q.texts[text] = true
			b.failed = b.failed || !isText
		}
	case "pattern":
		text, _ := value.(string)
		re, err := regexp.Compile(text)
		q.pattern, b.failed = re, b.failed || err != nil
	case "minLength":
		limit(&q.length.low)
	case "maxLength":
		limit(&q.length.high)
	case "minItems":
		limit(&q.count.low)
	case "maxItems":
		limit(&q.count.high)
	case "minimum":
		limit(&q.number.low)
	case "maximum":
		limit(&q.number.high)
	}
}

func (b *quickBuilder) at(pointer string) place {
	v, _ := follow(b.d.root, pointer)
	return place{b.d, pointer, v}
}

func (b *quickBuilder) child(p place, tokens ...string) *quickCheck {
	return b.build(b.at(appendPointer(p.at, tokens...)))
}

// maxExact is up to where integers and float64 are the same.
const maxExact = 1 << 53

// accepts reports whether a value is known to be valid.
func (q *quickCheck) accepts(v any) bool {
	if _, isText := v.(string); q.texts != nil && !isText {
		return false
	}
	if q.format != nil && q.format(v) != nil || !q.acceptsType(v) {
		return false
	}
	for _, other := range q.all {
		if !other.accepts(v) {
			return false
		}
	}
	return true
}

// acceptsType is accepts for the keywords of the value's type.
func (q *quickCheck) acceptsType(v any) bool {
	switch v := v.(type) {
	case nil:
		return q.types&typeNull != 0
	case bool:
		return q.types&typeBoolean != 0
	case string:
		return q.types&typeString != 0 && q.acceptsText(v)
	case json.Number:
		return q.acceptsNumber(string(v))
	case []any:
		return q.types&typeArray != 0 && q.acceptsArray(v)
	case map[string]any:
		return q.types&typeObject != 0 && q.acceptsObject(v)
	}
	return false
}

func (q *quickCheck) acceptsText(v string) bool {
	if q.texts != nil && !q.texts[v] {
		return false
	}
	if !q.length.any() && !q.length.holds(float64(utf8.RuneCountInString(v))) {
		return false
	}
	return q.pattern == nil || q.pattern.MatchString(v)
}

// acceptsNumber knows integers alone, or, where there are no bounds, that it is a number.
func (q *quickCheck) acceptsNumber(v string) bool {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n > maxExact || n < -maxExact {
		return q.types&typeFraction != 0 && q.number.any()
	}
	return q.types&typeInteger != 0 && q.number.holds(float64(n))
}

func (q *quickCheck) acceptsArray(v []any) bool {
	if !q.count.any() && !q.count.holds(float64(len(v))) {
		return false
	}
	if q.items == nil {
		return true
	}
	for _, item := range v {
		if !q.items.accepts(item) {
			return false
		}
	}
	return true
}

func (q *quickCheck) acceptsObject(v map[string]any) bool {
	for _, name := range q.required {
		if _, ok := v[name]; !ok {
			return false
		}
	}
	if q.properties == nil && !q.closed && q.rest == nil {
		return true
	}
	for name, value := range v {
		of, named := q.properties[name]
		switch {
		case named:
			if !of.accepts(value) {
				return false
			}
		case q.closed || q.rest != nil && !q.rest.accepts(value):
			return false
		}
	}
	return true
}
