package schema

import (
	"math/big"
	"regexp"
)

// written are the properties that a writer sets.
type written struct {
	named    map[string][]part
	patterns map[string][]part // with names that match
	others   []part            // what is said of any other one
	open     bool              // it sets others
}

// writtenBy are the properties that parts allow. One that names properties sets no others unless it
// says so.
func writtenBy(w []part) *written {
	out := &written{named: map[string][]part{}, patterns: map[string][]part{}}
	names, says, forbids := false, false, false
	for _, p := range w {
		_, has := p.node["properties"]
		names = names || has
		for name, child := range children(p.node["properties"]) {
			out.named[name] = append(out.named[name], flatten(place{p.d, appendPointer(p.at, "properties", name), child})...)
		}
		for pattern, child := range children(p.node["patternProperties"]) {
			out.patterns[pattern] = append(out.patterns[pattern], flatten(place{p.d, appendPointer(p.at, "patternProperties", pattern), child})...)
		}
		if rest, ok := p.child("additionalProperties"); ok {
			says = true
			forbids = forbids || rest.value == false
			out.others = append(out.others, flatten(rest)...)
		}
	}
	out.open = !forbids && (says || !names && len(out.patterns) == 0)
	for name := range required(w) {
		if _, ok := out.named[name]; !ok {
			out.named[name] = out.others
			if forbids {
				out.named[name] = nil // it may match a pattern
			}
		}
	}
	return out
}

func (c *comparison) compareObject(r *part, w []part) {
	writes := writtenBy(w)
	must := required(w)
	for name := range required([]part{*r}) {
		if !must[name] {
			c.report(appendPointer(r.at, "required"), "it requires %s, which version %d may leave out", quoteNames([]string{name}), c.writer)
		}
	}
	for _, name := range sortedNames(writes.named) {
		c.compareProperty(r, name, writes.named[name])
	}
	if len(writes.patterns) > 0 {
		c.comparePatterns(r, writes)
	}
	if writes.open {
		c.compareOpen(r, writes)
	}
	c.compareCount(r, "minProperties", largest(w, "minProperties"), int64(len(must)), 1)
	most := smallest(w, "maxProperties")
	if named := big.NewRat(int64(len(writes.named)), 1); !writes.open && len(writes.patterns) == 0 && (most == nil || named.Cmp(most) < 0) {
		most = named
	}
	c.compareCount(r, "maxProperties", most, -1, -1)
}

// compareProperty compares a property that the writer sets.
func (c *comparison) compareProperty(r *part, name string, w []part) {
	matched := false
	if child, ok := r.child("properties", name); ok {
		matched = true
		c.compare(child, w)
	}
	for pattern := range children(r.node["patternProperties"]) {
		if re, err := regexp.Compile(pattern); err == nil && re.MatchString(name) {
			child, _ := r.child("patternProperties", pattern)
			matched = true
			c.compare(child, w)
		}
	}
	rest, ok := r.child("additionalProperties")
	switch {
	case matched || !ok || never(w):
	case rest.value == false:
		c.report(rest.at, "it forbids %s, which version %d writes", quoteNames([]string{name}), c.writer)
	default:
		c.compare(rest, w)
	}
}

// comparePatterns compares properties by pattern. Only equal patterns are known to match the same
// names.
func (c *comparison) comparePatterns(r *part, writes *written) {
	for _, pattern := range sortedNames(writes.patterns) {
		child, same := r.child("patternProperties", pattern)
		if same {
			c.compare(child, writes.patterns[pattern])
		}
		if rest, ok := r.child("additionalProperties"); ok && !same && !rest.takesAll() {
			c.reportUndecided(rest.at, "version %d writes properties that match %.64q, and it is not known whether they are valid", c.writer, pattern)
		}
		for other := range children(r.node["patternProperties"]) {
			if other != pattern {
				c.reportUndecided(appendPointer(r.at, "patternProperties", other), "names that match it may match %.64q of version %d too", pattern, c.writer)
			}
		}
		for name := range children(r.node["properties"]) {
			if _, named := writes.named[name]; !named {
				c.reportUndecided(appendPointer(r.at, "properties", name), "its name may match %.64q of version %d", pattern, c.writer)
			}
		}
	}
}

// compareOpen compares what is said of properties that the writer sets without naming them.
func (c *comparison) compareOpen(r *part, writes *written) {
	for name := range children(r.node["properties"]) {
		if _, named := writes.named[name]; !named {
			child, _ := r.child("properties", name)
			c.compare(child, writes.others)
		}
	}
	for pattern := range children(r.node["patternProperties"]) {
		child, _ := r.child("patternProperties", pattern)
		c.compare(child, writes.others)
	}
	rest, ok := r.child("additionalProperties")
	switch {
	case !ok:
	case rest.value == false:
		c.report(rest.at, "it forbids properties that version %d does not name and may write", c.writer)
	default:
		c.compare(rest, writes.others)
	}
}

// compareCount compares a bound of the reader with that of the writer, or one that follows from
// something else if that is not negative. sign is 1 for lower bounds, and -1 for upper ones.
func (c *comparison) compareCount(r *part, keyword string, bound *big.Rat, otherwise int64, sign int) {
	wants := ratOf(r.node[keyword])
	if wants == nil {
		return
	}
	if other := big.NewRat(otherwise, 1); otherwise >= 0 && (bound == nil || sign*other.Cmp(bound) > 0) {
		bound = other
	}
	switch {
	case bound == nil:
		c.report(appendPointer(r.at, keyword), "it is %s, and version %d has no such bound", showRat(wants), c.writer)
	case sign*wants.Cmp(bound) > 0:
		c.report(appendPointer(r.at, keyword), "it is %s, and that of version %d is %s", showRat(wants), c.writer, showRat(bound))
	}
}
