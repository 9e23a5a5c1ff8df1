package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// origin is where a value came from.
type origin struct {
	line, column int
	// label is a flag or a variable of the environment, instead of a place in the file.
	label string
	// secret values, and those made of variables, are not shown.
	secret    bool
	variables []string
}

func (o origin) hidden() bool { return o.secret || len(o.variables) > 0 }

// stand says what a hidden value is, instead of the value.
func (o origin) stand() string {
	if len(o.variables) == 0 {
		return "the value (not shown)"
	}
	return "what ${" + strings.Join(o.variables, "} ${") + "} holds"
}

// override is what a flag, or its variable, said.
type override struct {
	text string
	origin
}

// reader collects what is wrong, and where values came from. It serves one file.
type reader struct {
	file     string
	env      lookup
	over     map[string]override
	given    map[string]origin
	bad      map[string]bool
	problems Problems
	// aliases and keys are how many were met.
	aliases, keys int
}

func newReader(file string, env lookup, over map[string]override) *reader {
	return &reader{file: file, env: env, over: over, given: make(map[string]origin), bad: make(map[string]bool)}
}

// place notes where a key's value is.
func (r *reader) place(at string, n *yaml.Node) { r.given[at] = origin{line: n.Line, column: n.Column} }

// mostProblems is how many are told of one file.
const mostProblems = 100

// mistake says what is wrong with the key at a path.
func (r *reader) mistake(at, format string, args ...any) {
	r.complain(at, r.nearest(at), format, args...)
}

// complain says what is wrong with a key at a place of its own.
func (r *reader) complain(at string, o origin, format string, args ...any) {
	r.bad[at] = true
	r.report(at, o, false, fmt.Sprintf(format, args...))
}

// warn says what is likely not wanted of the key at a path.
func (r *reader) warn(at, format string, args ...any) {
	r.report(at, r.nearest(at), true, fmt.Sprintf(format, args...))
}

func (r *reader) report(at string, o origin, warning bool, message string) {
	p := Problem{File: r.file, Line: o.line, Column: o.column, Path: at, Message: message, Warning: warning}
	if o.label != "" {
		p = Problem{Path: o.label, Message: message, Warning: warning}
	}
	if len(r.problems) < mostProblems && !slices.Contains(r.problems, p) { // a flag is wrong once, not for each subscription
		r.problems = append(r.problems, p)
	}
}

// nearest is the origin of a key, or of the mapping that lacks it.
func (r *reader) nearest(at string) origin {
	for {
		if o, ok := r.given[at]; ok || at == "" {
			return o
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
}

// blame is the first of some paths that somebody gave; ok is false when one of them is wrong by itself.
func (r *reader) blame(paths ...string) (at string, ok bool) {
	at = paths[0]
	for _, p := range slices.Backward(paths) {
		if r.bad[p] {
			return "", false
		}
		if _, given := r.given[p]; given {
			at = p
		}
	}
	return at, true
}

// has reports whether somebody gave a key.
func (r *reader) has(at string) bool {
	_, given := r.given[at]
	return given
}

// exclusive refuses two keys that are both there.
func (r *reader) exclusive(one, other, a, b string) {
	if p, ok := r.blame(other, one); ok && a != "" && b != "" {
		r.mistake(p, "%s and %s exclude each other: keep one", one, other)
	}
}

// shown is a value as it may be shown.
func (r *reader) shown(at, value string) string {
	if o := r.given[at]; o.hidden() {
		return o.stand()
	}
	return value
}

// called is what the key at a path is called where its value came from: a flag, or in the file its
// name below the subscription.
func (r *reader) called(at string) string {
	if label := r.given[at].label; strings.HasPrefix(label, "--") {
		return label
	}
	if r.file == "" {
		if s := specAt(at); s != nil && s.flag != "" {
			return "--" + s.flag
		}
	}
	return strings.TrimPrefix(at[strings.LastIndexByte(at, ']')+1:], ".")
}

func (r *reader) missing(at string, s *spec) {
	if r.file == "" && s.flag != "" {
		r.given[at] = origin{label: "--" + s.flag}
		r.mistake(at, "it is required: %s", s.meaning)
		return
	}
	or := ""
	if s.flag != "" && !strings.HasPrefix(at, string(SectionSubscriptions)) {
		or = ", or set --" + s.flag
		if s.env != "" {
			or += " or " + s.env
		}
	}
	r.mistake(at, "it is missing: add %s: %s%s", s.name, s.meaning, or)
}

// unknown says which key was likely meant.
func (r *reader) unknown(at string, p pair, valid []*spec) {
	name, path := "such key", at
	if nameable(p.name) {
		name, path = fmt.Sprintf("key %q", p.name), join(at, p.name)
	}
	if len(r.problems) >= mostProblems {
		return
	}
	advice := hint(p.name, names(valid))
	if home := homes(p.name); nearest(p.name, names(valid)) == "" && home != "" {
		advice = "it belongs under " + home
	}
	r.complain(path, origin{line: p.key.Line, column: p.key.Column}, "there is no %s: %s", name, advice)
}

// sorted returns the problems in the order of the file; what flags said comes first.
func (r *reader) sorted() Problems {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}
