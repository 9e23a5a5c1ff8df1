package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/internal/commandline"
)

// valueOrigin is where a value came from.
type valueOrigin struct {
	line, column int
	// label is a flag or a variable of the environment, instead of a place in the file.
	label string
	// secret values, and those made of variables, are not shown.
	secret    bool
	variables []string
	// meantVariable is the name of a variable that the value likely stands for, and
	// does not: $NAME.
	meantVariable string
}

func (o valueOrigin) isHidden() bool { return o.secret || len(o.variables) > 0 }

// writeVariable is what to do about a value that is wrong, if it was meant as a variable.
func (o valueOrigin) writeVariable() string {
	if o.meantVariable == "" {
		return ""
	}
	return ": write ${" + o.meantVariable + "} for what the variable holds"
}

// placeholder says what a hidden value is, instead of the value.
func (o valueOrigin) placeholder() string {
	if len(o.variables) == 0 {
		return "the value (not shown)"
	}
	return "what ${" + strings.Join(o.variables, "} ${") + "} holds"
}

// overrideValue is what a flag, or its variable, said.
type overrideValue struct {
	text string
	valueOrigin
}

// configReader collects what is wrong, and where values came from. It serves one file.
type configReader struct {
	file      string
	env       lookupEnv
	overrides map[string]overrideValue
	origins   map[string]valueOrigin
	// unread are mappings that are none in the file: what is below them was not read.
	unread map[string]bool
	// misspelled are keys that are likely there under another name, which was reported.
	misspelled map[string]bool
	hasMistake map[string]bool
	// secretFiles are files that nobody else may read, by the paths of their keys.
	secretFiles map[string]string
	// secretFlags are the paths of keys whose passwords are on the command line.
	secretFlags []string
	problems    Problems
	// aliases and keys are how many were met.
	aliases, keys int
}

func newConfigReader(file string, env lookupEnv, over map[string]overrideValue) *configReader {
	return &configReader{
		file: file, env: env, overrides: over,
		origins: make(map[string]valueOrigin), hasMistake: make(map[string]bool),
		unread: make(map[string]bool), misspelled: make(map[string]bool), secretFiles: make(map[string]string),
	}
}

// recordOrigin notes where a key's value is.
func (r *configReader) recordOrigin(at string, n *yaml.Node) {
	r.origins[at] = valueOrigin{line: n.Line, column: n.Column}
}

// maxProblems is how many are told of one file.
const maxProblems = 100

// reportMistake says what is wrong with the key at a path.
func (r *configReader) reportMistake(at, format string, args ...any) {
	r.reportMistakeAt(at, r.nearestOrigin(at), format, args...)
}

// reportMistakeAt says what is wrong with a key at a place of its own.
func (r *configReader) reportMistakeAt(at string, o valueOrigin, format string, args ...any) {
	r.hasMistake[at] = true
	r.addProblem(at, o, false, fmt.Sprintf(format, args...))
}

// reportWarning says what is likely not wanted of the key at a path.
func (r *configReader) reportWarning(at, format string, args ...any) {
	r.addProblem(at, r.nearestOrigin(at), true, fmt.Sprintf(format, args...))
}

// warnVariable warns of a value that is taken as it is, and was likely meant as a variable.
func (r *configReader) warnVariable(at string) {
	if o := r.origins[at]; o.meantVariable != "" {
		r.reportWarning(at, "it is taken as it is: write ${%s} for what the variable holds", o.meantVariable)
	}
}

func (r *configReader) addProblem(at string, o valueOrigin, warning bool, message string) {
	p := Problem{File: r.file, Line: o.line, Column: o.column, Path: at, Message: message, Warning: warning}
	if o.label != "" {
		p = Problem{Path: o.label, Message: message, Warning: warning}
	}
	if len(r.problems) < maxProblems && !slices.Contains(r.problems, p) { // a flag is wrong once, not for each subscription
		r.problems = append(r.problems, p)
	}
}

// nearestOrigin is the origin of a key, or of the mapping that lacks it.
func (r *configReader) nearestOrigin(at string) valueOrigin {
	for {
		if o, ok := r.origins[at]; ok || at == "" {
			return o
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
}

// firstGiven is the first of some paths that somebody gave; ok is false when one of them is
// wrong by itself.
func (r *configReader) firstGiven(paths ...string) (at string, ok bool) {
	at = paths[0]
	for _, p := range slices.Backward(paths) {
		if r.hasMistake[p] {
			return "", false
		}
		if r.isGiven(p) {
			at = p
		}
	}
	return at, true
}

// isGiven reports whether somebody gave a key.
func (r *configReader) isGiven(at string) bool {
	_, given := r.origins[at]
	return given
}

// isGivenValid reports whether somebody gave a key, and a value that is not wrong by itself.
func (r *configReader) isGivenValid(at string) bool { return r.isGiven(at) && !r.hasMistake[at] }

// rejectBoth refuses two keys that are both there.
func (r *configReader) rejectBoth(one, other, a, b string) {
	if p, ok := r.firstGiven(other, one); ok && a != "" && b != "" {
		r.reportMistake(p, "%s and %s exclude each other: keep one", one, other)
	}
}

// shownValue is a value as it may be shown.
func (r *configReader) shownValue(at, value string) string {
	if o := r.origins[at]; o.isHidden() {
		return o.placeholder()
	}
	return value
}

// shownDuration is a duration as it may be shown.
func (r *configReader) shownDuration(at string, d time.Duration) string {
	return r.shownValue(at, FormatDuration(d))
}

// shownName is what the key at a path is called where its value came from: a flag, or in the file
// its name below the subscription.
func (r *configReader) shownName(at string) string {
	if label := r.origins[at].label; strings.HasPrefix(label, "--") {
		return label
	}
	if r.file == "" {
		if s := fieldAt(at); s != nil && s.flag != "" {
			return "--" + s.flag
		}
	}
	return strings.TrimPrefix(at[strings.LastIndexByte(at, ']')+1:], ".")
}

// isExplained reports whether it is clear from another mistake why a key is missing: one is enough.
func (r *configReader) isExplained(at string) bool {
	return r.misspelled[at] || r.unread[parentPath(at)]
}

func (r *configReader) reportMissing(at string, s *fieldInfo) {
	if r.isExplained(at) {
		r.hasMistake[at] = true
		return
	}
	if r.file == "" && s.flag != "" {
		r.origins[at] = valueOrigin{label: "--" + s.flag}
		r.reportMistake(at, "it is required: %s", s.meaning)
		return
	}
	or := ""
	if s.flag != "" && !strings.HasPrefix(at, string(SectionSubscriptions)) {
		or = ", or set --" + s.flag
		if s.env != "" {
			or += " or " + s.env
		}
	}
	r.reportMistake(at, "it is missing: add %s: %s%s", s.name, s.meaning, or)
}

// reportUnknown says which key was likely meant.
func (r *configReader) reportUnknown(at string, p mappingEntry, valid []*fieldInfo) {
	name, path := "such key", at
	if isShowableName(p.name) {
		name, path = fmt.Sprintf("key %q", p.name), joinPath(at, p.name)
	}
	if len(r.problems) >= maxProblems {
		return
	}
	advice := nearestOrAll(p.name, fieldNames(valid))
	near, home := commandline.Nearest(p.name, fieldNames(valid)), parentsOf(p.name)
	switch parent, child, below := splitChildName(at, p.name); {
	case near != "":
		r.misspelled[joinPath(at, near)] = true
	case home != "":
		advice = "it belongs under " + home
		r.noteMisplaced(at, p.name, valid)
	case below:
		advice = fmt.Sprintf("write %s below %s", child, parent)
	}
	r.reportMistakeAt(path, valueOrigin{line: p.key.Line, column: p.key.Column}, "there is no %s: %s", name, advice)
}

// noteMisplaced notes which mappings are likely there by one of their keys, a level too high.
func (r *configReader) noteMisplaced(at, name string, valid []*fieldInfo) {
	for _, s := range valid {
		if slices.Contains(fieldNames(s.children), name) {
			r.misspelled[joinPath(at, s.name)] = true
		}
	}
}

// splitChildName reads a name such as nats_url as a path below a mapping: url below nats.
func splitChildName(at, name string) (parent, child string, ok bool) {
	for i, c := range name {
		if c != '_' && c != '-' && c != '.' {
			continue
		}
		parent, child = name[:i], name[i+1:]
		if fieldAt(joinPath(joinPath(at, parent), child)) != nil {
			return parent, child, true
		}
	}
	return "", "", false
}

// sortedProblems returns the problems in the order of the file; what flags said comes first.
func (r *configReader) sortedProblems() Problems {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}
