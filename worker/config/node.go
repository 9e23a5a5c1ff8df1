package config

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

const (
	// mostAliases is how many aliases of a file are followed; a file that folds more into itself is
	// an attack or an accident.
	mostAliases = 1000
	// mostEntries is how many entries a list may have: topics are compared with each other.
	mostEntries = 1000
)

// resolve follows aliases. It is nil, and the mistake reported, when there are too many.
func (r *reader) resolve(at string, n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		if r.aliases++; r.aliases > mostAliases {
			if r.aliases == mostAliases+1 {
				r.complain(at, origin{line: n.Line, column: n.Column}, "more than %d aliases (*name) are followed up to here: write the values out", mostAliases)
			}
			return nil
		}
		n = n.Alias
	}
	return n
}

// items are the entries of a list.
func (r *reader) items(at string, n *yaml.Node) []*yaml.Node {
	r.place(at, n)
	if n = r.resolve(at, n); n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.mistake(at, "it is %s, but a list is wanted: begin each entry with a dash and a space", sort(n))
		return nil
	}
	if len(n.Content) > mostEntries {
		r.mistake(at, "it has %d entries, more than %d: use patterns, or several workers", len(n.Content), mostEntries)
		return nil
	}
	return n.Content
}

// scalar is the text of a value, variables replaced; ok is false after a mistake.
func (r *reader) scalar(at string, n *yaml.Node, s *spec) (text string, ok bool) {
	o := origin{line: n.Line, column: n.Column, secret: s.secret}
	r.given[at] = o
	if n = r.resolve(at, n); n == nil {
		return "", false
	}
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		r.mistake(at, "it is %s, but it must be %s%s", sort(n), s.wants, onOneLine(n, s))
		return "", false
	case tag == "!!null":
		r.mistake(at, "it has no value: give one, or remove the key; it must be %s", s.wants)
		return "", false
	case n.Style&yaml.TaggedStyle != 0:
		r.mistake(at, "it has a tag (!…), which is not supported: quote a value that begins with '!'")
		return "", false
	}
	text, o.variables, ok = r.expand(at, n.Value, s)
	if !s.command {
		o.meant = variableMeant(n.Value)
	}
	if r.given[at] = o; !ok {
		return "", false
	}
	if len(o.variables) == 0 && !slices.Contains(s.tags, tag) {
		r.mistake(at, "%s%s", wrongType(n, s), o.writeVariable())
		return "", false
	}
	return text, true
}

func (r *reader) expand(at, value string, s *spec) (string, []string, bool) {
	text, variables, err := interpolate(value, r.env)
	if undefined, ok := errors.AsType[undefinedError](err); ok && s.command {
		err = undefined.inCommand()
	}
	if err != nil {
		r.mistake(at, "%v", err)
	}
	return text, variables, err == nil
}

// onOneLine is what to do about a command that is written as a list of words.
func onOneLine(n *yaml.Node, s *spec) string {
	if s.command && n.Kind == yaml.SequenceNode {
		return ": write the command on one line"
	}
	return ""
}

// wrongType tells how a value of another type is written.
func wrongType(n *yaml.Node, s *spec) string {
	value := quote(n.Value)
	if s.secret {
		value = "the value (not shown)"
	}
	said := fmt.Sprintf("%s is %s, but it must be %s", value, sort(n), s.wants)
	switch {
	case slices.Contains(s.tags, "!!str"):
		return said + ": put it in quotes"
	case n.ShortTag() == "!!str" && n.Style != 0 && s.valid(n.Value) == nil:
		return said + ": remove the quotes"
	}
	return said
}

// sort is what a node is to people.
func sort(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "nothing"
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		return "a number"
	case n.ShortTag() == "!!bool":
		return "true or false"
	case n.ShortTag() == "!!timestamp":
		return "a time"
	default:
		return "text"
	}
}

// bare tells a single value.
func bare(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null"
}
