package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/internal/commandline"
)

// origin is where a value came from.
type origin struct {
	line, column int
	// label is a flag or a variable of the environment, instead of a place in the file.
	label string
	// secret values, and those made of variables, are not shown.
	secret    bool
	variables []string
	// meant is the name of a variable that the value likely stands for, and does not: $NAME.
	meant string
}

func (o origin) hidden() bool { return o.secret || len(o.variables) > 0 }

// writeVariable is what to do about a value that is wrong, if it was meant as a variable.
func (o origin) writeVariable() string {
	if o.meant == "" {
		return ""
	}
	return ": write ${" + o.meant + "} for what the variable holds"
}

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
	file  string
	env   lookup
	over  map[string]override
	given map[string]origin
	// unread are mappings that are none in the file: what is below them was not read.
	unread map[string]bool
	// misspelled are keys that are likely there under another name, which was reported.
	misspelled map[string]bool
	bad        map[string]bool
	problems   Problems
	// aliases and keys are how many were met.
	aliases, keys int
}

func newReader(file string, env lookup, over map[string]override) *reader {
	return &reader{
		file: file, env: env, over: over,
		given: make(map[string]origin), bad: make(map[string]bool),
		unread: make(map[string]bool), misspelled: make(map[string]bool),
	}
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

// warnVariable warns of a value that is taken as it is, and was likely meant as a variable.
func (r *reader) warnVariable(at string) {
	if o := r.given[at]; o.meant != "" {
		r.warn(at, "it is taken as it is: write ${%s} for what the variable holds", o.meant)
	}
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

// blame is the first of some paths that somebody gave; ok is false when one of them is
// wrong by itself.
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

// explained reports whether it is clear from another mistake why a key is missing: one is enough.
func (r *reader) explained(at string) bool {
	return r.misspelled[at] || r.unread[at[:max(0, strings.LastIndexByte(at, '.'))]]
}

func (r *reader) missing(at string, s *spec) {
	if r.explained(at) {
		r.bad[at] = true
		return
	}
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
	near, home := commandline.Nearest(p.name, names(valid)), homes(p.name)
	switch parent, child, below := belowOne(at, p.name); {
	case near != "":
		r.misspelled[join(at, near)] = true
	case home != "":
		advice = "it belongs under " + home
		r.misplaced(at, p.name, valid)
	case below:
		advice = fmt.Sprintf("write %s below %s", child, parent)
	}
	r.complain(path, origin{line: p.key.Line, column: p.key.Column}, "there is no %s: %s", name, advice)
}

// misplaced notes which mappings are likely there by one of their keys, a level too high.
func (r *reader) misplaced(at, name string, valid []*spec) {
	for _, s := range valid {
		if slices.Contains(names(s.below), name) {
			r.misspelled[join(at, s.name)] = true
		}
	}
}

// belowOne reads a name such as nats_url as a path below a mapping: url below nats.
func belowOne(at, name string) (parent, child string, ok bool) {
	for i, c := range name {
		if c != '_' && c != '-' && c != '.' {
			continue
		}
		parent, child = name[:i], name[i+1:]
		if specAt(join(join(at, parent), child)) != nil {
			return parent, child, true
		}
	}
	return "", "", false
}

// sorted returns the problems in the order of the file; what flags said comes first.
func (r *reader) sorted() Problems {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}
