package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// mapping is a key with keys of its own, kept in a C that is always there.
type mapping[S, C any] struct {
	spec
	at   func(*S) *C
	keys object[C]
}

func under[S, C any](name, meaning string, at func(*S) *C, keys ...key[C]) *mapping[S, C] {
	return &mapping[S, C]{
		spec: spec{name: name, kind: "mapping", meaning: meaning, below: object[C](keys).specs()},
		at:   at, keys: keys,
	}
}

// exactlyOne of the mapping's keys is given.
func (m *mapping[S, C]) exactlyOne() *mapping[S, C] {
	m.one, m.required = true, true
	return m
}

func (m *mapping[S, C]) describe() *spec { return &m.spec }
func (m *mapping[S, C]) fill(s *S)       { m.keys.fill(m.at(s)) }

func (m *mapping[S, C]) read(r *reader, at string, n *yaml.Node, s *S) {
	r.place(at, n)
	if m.one {
		m.keys.readAdvised(r, at, n, m.at(s), "put one of "+list(names(m.below))+" below it")
		return
	}
	m.keys.read(r, at, n, m.at(s))
}

func (m *mapping[S, C]) finish(r *reader, at string, s *S) { m.keys.finish(r, at, m.at(s)) }

// optional is a mapping that may be there or not. A bare value stands for its first key, if that is
// required; nothing stands for all defaults, if none is.
type optional[S, C any] struct {
	spec
	at   func(*S) **C
	keys object[C]
}

func either[S, C any](name, meaning string, at func(*S) **C, keys ...key[C]) *optional[S, C] {
	o := &optional[S, C]{
		spec: spec{name: name, kind: "mapping", meaning: meaning, below: object[C](keys).specs(), optional: true},
		at:   at, keys: keys,
	}
	if first := o.below[0]; first.required {
		o.shorthand = first.name
	}
	return o
}

func (o *optional[S, C]) describe() *spec { return &o.spec }
func (o *optional[S, C]) fill(*S)         {}

func (o *optional[S, C]) open(s *S) *C {
	c := new(C)
	o.keys.fill(c)
	*o.at(s) = c
	return c
}

func (o *optional[S, C]) read(r *reader, at string, n *yaml.Node, s *S) {
	r.place(at, n)
	c := o.open(s)
	if o.shorthand != "" && bare(n) {
		o.keys[0].read(r, join(at, o.shorthand), n, c)
		return
	}
	o.keys.readAdvised(r, at, n, c, o.advice())
}

// advice is what to do about a value that is neither a mapping nor a bare value.
func (o *optional[S, C]) advice() string {
	keys := "put keys below it, such as " + sample(o.below)
	switch {
	case o.shorthand == "":
		return keys + ", or write {} for the defaults"
	case o.below[0].command:
		return "write the command on one line"
	}
	return keys + ", or write the " + o.shorthand + " alone"
}

// sample is a mapping with the keys that are required, or with the first two.
func sample(specs []*spec) string {
	shown := slices.DeleteFunc(slices.Clone(specs), func(s *spec) bool { return !s.required })
	if len(shown) == 0 {
		shown = specs[:min(2, len(specs))]
	}
	pairs := make([]string, len(shown))
	for i, s := range shown {
		pairs[i] = s.name + ": " + cmp.Or(s.example, "…")
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func (o *optional[S, C]) finish(r *reader, at string, s *S) {
	c := *o.at(s)
	if c == nil {
		if _, given := r.over[o.below[0].flag]; !given || o.below[0].flag == "" {
			return
		}
		c = o.open(s)
	}
	o.keys.finish(r, at, c)
}

// sequence is a key with a list of mappings.
type sequence[S, C any] struct {
	spec
	at   func(*S) *[]C
	keys object[C]
}

func several[S, C any](name, meaning string, at func(*S) *[]C, keys ...key[C]) *sequence[S, C] {
	return &sequence[S, C]{
		spec: spec{name: name, kind: "list", meaning: meaning, below: object[C](keys).specs(), list: true, required: true},
		at:   at, keys: keys,
	}
}

// without is a key beside this one that makes it optional.
func (q *sequence[S, C]) without(other string) *sequence[S, C] {
	q.unless = other
	return q
}

func (q *sequence[S, C]) describe() *spec { return &q.spec }
func (q *sequence[S, C]) fill(*S)         {}

// add makes an entry with all defaults.
func (q *sequence[S, C]) add(s *S) {
	var c C
	q.keys.fill(&c)
	*q.at(s) = append(*q.at(s), c)
}

func (q *sequence[S, C]) read(r *reader, at string, n *yaml.Node, s *S) {
	for i, item := range r.items(at, n) {
		q.add(s)
		path := entry(at, i)
		r.place(path, item)
		q.keys.read(r, path, item, &(*q.at(s))[i])
	}
}

func (q *sequence[S, C]) finish(r *reader, at string, s *S) {
	if len(*q.at(s)) == 0 {
		_, given := r.given[at]
		_, other := r.given[q.unless]
		switch {
		case r.file == "":
			q.add(s)
		case !r.bad[at] && !r.explained(at) && (given || !other):
			r.mistake(at, "there is none: name at least one, with a topic and a handler")
		}
	}
	for i := range *q.at(s) {
		q.keys.finish(r, entry(at, i), &(*q.at(s))[i])
	}
}

func entry(at string, i int) string { return at + "[" + strconv.Itoa(i) + "]" }
