package schema

import (
	"maps"
	"math/big"
	"strings"
)

// place is a schema within a document.
type place struct {
	d     *Document
	at    string
	value any
}

// child is the schema under tokens of a place; ok is false if there is none.
func (p place) child(tokens ...string) (place, bool) {
	v := p.value
	for _, token := range tokens {
		node, _ := v.(map[string]any)
		var ok bool
		if v, ok = node[token]; !ok {
			return place{}, false
		}
	}
	return place{p.d, appendPointer(p.at, tokens...), v}, true
}

// takesAll reports whether a schema has nothing to say.
func (p place) takesAll() bool {
	node, isNode := p.value.(map[string]any)
	return p.value == true || isNode && len(node) == 0
}

// part is one of the schemas that apply to a value together. Its own $ref and allOf are other
// parts.
type part struct {
	place

	node  map[string]any
	never bool   // the schema false
	cut   string // what was taken out of node, or put into it
}

// flatten returns the parts that a schema is made of.
func flatten(p place) (out []part) {
	node, ok := p.value.(map[string]any)
	if !ok {
		if p.value == false {
			return []part{{place: p, never: true}}
		}
		return nil
	}
	if ref, ok := node["$ref"].(string); ok {
		if target, pointer, found := lookUp(p.d.root, ref); found {
			out = flatten(place{p.d, pointer, target})
		}
		if p.d.draft == draft7 {
			return out // what stands beside $ref is ignored there
		}
	}
	out = append(out, part{place: p, node: node})
	for token, child := range children(node["allOf"]) {
		out = append(out, flatten(place{p.d, appendPointer(p.at, "allOf", token), child})...)
	}
	return out
}

// without returns a copy without a keyword.
func (p part) without(keyword string) part {
	p.node = maps.Clone(p.node)
	delete(p.node, keyword)
	p.cut += "-" + keyword
	return p
}

// keyOf names parts.
func keyOf(ps []part) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.at + "\x00" + p.cut + "\x00")
	}
	return b.String()
}

// never reports whether parts allow nothing.
func never(ps []part) bool {
	for _, p := range ps {
		if p.never {
			return true
		}
	}
	return typesOf(ps) == 0
}

// typeSet are types of JSON. A number that is no integer is a type of its own.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBoolean
	typeObject
	typeArray
	typeString
	typeInteger
	typeFraction
	allTypes typeSet = 1<<iota - 1
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBoolean, "object": typeObject, "array": typeArray, "string": typeString,
	"integer": typeInteger, "number": typeInteger | typeFraction,
}

// String names the types.
func (t typeSet) String() string {
	var names []string
	for _, name := range []string{"null", "boolean", "object", "array", "string", "number", "integer"} {
		if set := typeNames[name]; t&set == set && (name != "integer" || t&typeFraction == 0) {
			names = append(names, name)
		}
	}
	if t&typeFraction != 0 && t&typeInteger == 0 {
		names = append(names, "number with a fraction")
	}
	return strings.Join(names, " or ")
}

// types are those that a part allows.
func (p *part) types() typeSet {
	switch named := p.node["type"].(type) {
	case string:
		return typeNames[named]
	case []any:
		var set typeSet
		for _, name := range named {
			text, _ := name.(string)
			set |= typeNames[text]
		}
		return set
	}
	return allTypes
}

// typesOf are those that all parts allow.
func typesOf(ps []part) typeSet {
	set := allTypes
	for i := range ps {
		if !ps[i].never {
			set &= ps[i].types()
		}
	}
	return set
}

// required are the properties that parts require.
func required(ps []part) map[string]bool {
	out := map[string]bool{}
	for _, p := range ps {
		for _, name := range children(p.node["required"]) {
			if text, ok := name.(string); ok {
				out[text] = true
			}
		}
	}
	return out
}

// largest is the largest value of a keyword of parts, smallest the smallest; nil if no part has it.
func largest(ps []part, keyword string) (most *big.Rat) {
	for _, p := range ps {
		if r := ratOf(p.node[keyword]); r != nil && (most == nil || r.Cmp(most) > 0) {
			most = r
		}
	}
	return most
}

func smallest(ps []part, keyword string) (least *big.Rat) {
	for _, p := range ps {
		if r := ratOf(p.node[keyword]); r != nil && (least == nil || r.Cmp(least) < 0) {
			least = r
		}
	}
	return least
}
