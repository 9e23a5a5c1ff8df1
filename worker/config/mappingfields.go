package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mappingField is a key with keys of its own, kept in a C that is always there.
type mappingField[S, C any] struct {
	fieldInfo
	at   func(*S) *C
	keys fieldSet[C]
}

func objectField[S, C any](name, meaning string, at func(*S) *C, keys ...field[C]) *mappingField[S, C] {
	return &mappingField[S, C]{
		fieldInfo: fieldInfo{name: name, kind: "mapping", meaning: meaning, children: fieldSet[C](keys).fieldInfos()},
		at:        at, keys: keys,
	}
}

// requireExactlyOne of the mapping's keys is given.
func (m *mappingField[S, C]) requireExactlyOne() *mappingField[S, C] {
	m.exactlyOne, m.required = true, true
	return m
}

func (m *mappingField[S, C]) setDefaults(s *S) { m.keys.setDefaults(m.at(s)) }

func (m *mappingField[S, C]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	r.recordOrigin(at, n)
	advice := adviceForKeys(m.children)
	if m.exactlyOne {
		advice = "put one of " + orList(fieldNames(m.children)) + " below it"
	}
	m.keys.readNode(r, at, n, m.at(s), advice)
}

func (m *mappingField[S, C]) applyOverrides(r *configReader, at string, s *S) {
	m.keys.applyOverrides(r, at, m.at(s))
}

// optionalMapping is a mapping that may be there or not. A bare value stands for its first key, if
// that is required; nothing stands for all defaults, if none is.
type optionalMapping[S, C any] struct {
	fieldInfo
	at   func(*S) **C
	keys fieldSet[C]
	// byAnyFlag is for one that each of its flags makes, not the first alone.
	byAnyFlag bool
}

func optionalField[S, C any](name, meaning string, at func(*S) **C, keys ...field[C]) *optionalMapping[S, C] {
	o := &optionalMapping[S, C]{
		fieldInfo: fieldInfo{name: name, kind: "mapping", meaning: meaning, children: fieldSet[C](keys).fieldInfos(), optional: true},
		at:        at, keys: keys,
	}
	if first := o.children[0]; first.required {
		o.shorthand = first.name
	}
	return o
}

// givenByAnyFlag is a mapping that each flag of its keys makes. A bare value stands for its first
// key. defaultText tells people what holds without it.
func (o *optionalMapping[S, C]) givenByAnyFlag(defaultText string) *optionalMapping[S, C] {
	o.byAnyFlag, o.shorthand, o.defaultText = true, o.children[0].name, defaultText
	return o
}

func (o *optionalMapping[S, C]) setDefaults(*S) {}

func (o *optionalMapping[S, C]) addWithDefaults(s *S) *C {
	c := new(C)
	o.keys.setDefaults(c)
	*o.at(s) = c
	return c
}

func (o *optionalMapping[S, C]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	r.recordOrigin(at, n)
	c := o.addWithDefaults(s)
	if o.shorthand != "" && isBareValue(n) {
		o.keys[0].readNode(r, joinPath(at, o.shorthand), n, c)
		return
	}
	o.keys.readNode(r, at, n, c, o.adviceForValue())
}

// adviceForValue is what to do about a value that is neither a mapping nor a bare value.
func (o *optionalMapping[S, C]) adviceForValue() string {
	switch {
	case o.shorthand == "":
		return adviceForKeys(o.children) + ", or write {} for the defaults"
	case o.children[0].command:
		return "write the command on one line"
	}
	return adviceForKeys(o.children) + ", or write the " + o.shorthand + " alone"
}

// adviceForKeys shows a mapping with the keys that are required, or with the first two.
func adviceForKeys(specs []*fieldInfo) string {
	shown := slices.DeleteFunc(slices.Clone(specs), func(s *fieldInfo) bool { return !s.required })
	if len(shown) == 0 {
		shown = specs[:min(2, len(specs))]
	}
	pairs := make([]string, len(shown))
	for i, s := range shown {
		pairs[i] = s.name + ": " + cmp.Or(s.example, "…")
	}
	return "put keys below it, such as {" + strings.Join(pairs, ", ") + "}"
}

func (o *optionalMapping[S, C]) applyOverrides(r *configReader, at string, s *S) {
	c := *o.at(s)
	if c == nil {
		if !o.isGivenByFlag(r, at) {
			return
		}
		c = o.addWithDefaults(s)
	}
	o.keys.applyOverrides(r, at, c)
}

// isGivenByFlag reports whether a flag makes the mapping. A flag of another key cannot if the first
// one is required, and is a mistake.
func (o *optionalMapping[S, C]) isGivenByFlag(r *configReader, at string) bool {
	first := o.children[0]
	for _, s := range o.flaggedFields() {
		over, given := r.overrides[s.flag]
		switch {
		case !given:
		case s == first:
			return true
		case !o.byAnyFlag:
			return false
		case !first.required:
			return true
		default:
			r.reportMistakeAt(joinPath(at, first.name), over.valueOrigin, "%s.%s is missing: set --%s, or leave --%s out", at, first.name, first.flag, s.flag)
			return false
		}
	}
	return false
}

// mappingList is a key with a list of mappings.
type mappingList[S, C any] struct {
	fieldInfo
	at   func(*S) *[]C
	keys fieldSet[C]
}

// listField is required unless another key beside it is given.
func listField[S, C any](name, meaning, unless string, at func(*S) *[]C, keys ...field[C]) *mappingList[S, C] {
	return &mappingList[S, C]{
		fieldInfo: fieldInfo{name: name, kind: "list", meaning: meaning, children: fieldSet[C](keys).fieldInfos(), list: true, required: true, unlessGiven: unless},
		at:        at, keys: keys,
	}
}

// optionalListField is a list that may be empty, or missing.
func optionalListField[S, C any](name, meaning string, at func(*S) *[]C, keys ...field[C]) *mappingList[S, C] {
	q := listField(name, meaning, "", at, keys...)
	q.required = false
	return q
}

func (q *mappingList[S, C]) setDefaults(*S) {}

// addEntry makes an entry with all defaults.
func (q *mappingList[S, C]) addEntry(s *S) {
	var c C
	q.keys.setDefaults(&c)
	*q.at(s) = append(*q.at(s), c)
}

func (q *mappingList[S, C]) readNode(r *configReader, at string, n *yaml.Node, s *S) {
	for i, item := range r.listItems(at, n) {
		q.addEntry(s)
		path := entryPath(at, i)
		r.recordOrigin(path, item)
		q.keys.readNode(r, path, item, &(*q.at(s))[i], adviceForKeys(q.children))
	}
}

func (q *mappingList[S, C]) applyOverrides(r *configReader, at string, s *S) {
	if len(*q.at(s)) == 0 && q.required {
		switch {
		case r.file == "":
			q.addEntry(s)
		case !r.hasMistake[at] && !r.isExplained(at) && (r.isGiven(at) || !r.isGiven(q.unlessGiven)):
			r.reportMistake(at, "there is none: name at least one, with a topic and a handler")
		}
	}
	for i := range *q.at(s) {
		q.keys.applyOverrides(r, entryPath(at, i), &(*q.at(s))[i])
	}
}

func entryPath(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
