package config

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"
)

const (
	// maxAliases is how many aliases of a file are followed; a file that folds more into itself is
	// an attack or an accident.
	maxAliases = 1000
	// maxListEntries is how many entries a list may have: topics are compared with each other.
	maxListEntries = 1000
)

// followAliases follows aliases. It is nil, and the mistake reported, when there are too many.
func (r *configReader) followAliases(at string, n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		if r.aliases++; r.aliases > maxAliases {
			if r.aliases == maxAliases+1 {
				r.reportMistakeAt(at, valueOrigin{line: n.Line, column: n.Column}, "more than %d aliases (*name) are followed up to here: write the values out", maxAliases)
			}
			return nil
		}
		n = n.Alias
	}
	return n
}

// listItems are the entries of a list.
func (r *configReader) listItems(at string, n *yaml.Node) []*yaml.Node {
	r.recordOrigin(at, n)
	if n = r.followAliases(at, n); n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.reportMistake(at, "it is %s, but a list is wanted: begin each entry with a dash and a space", nodeKind(n))
		return nil
	}
	if len(n.Content) > maxListEntries {
		r.reportMistake(at, "it has %d entries, more than %d: use patterns, or several workers", len(n.Content), maxListEntries)
		return nil
	}
	return n.Content
}

// scalarText is the text of a value, variables replaced; ok is false after a mistake.
func (r *configReader) scalarText(at string, n *yaml.Node, s *fieldInfo) (text string, ok bool) {
	o := valueOrigin{line: n.Line, column: n.Column, secret: s.secret}
	r.origins[at] = o
	if n = r.followAliases(at, n); n == nil {
		return "", false
	}
	tag := n.ShortTag()
	switch {
	case n.Kind != yaml.ScalarNode:
		r.reportMistake(at, "it is %s, but it must be %s%s", nodeKind(n), s.expected, onOneLine(n, s))
		return "", false
	case tag == "!!null":
		r.reportMistake(at, "it has no value: give one, or remove the key; it must be %s", s.expected)
		return "", false
	case n.Style&yaml.TaggedStyle != 0:
		r.reportMistake(at, "it has a tag (!…), which is not supported: quote a value that begins with '!'")
		return "", false
	}
	text, o.variables, ok = r.expandText(at, n.Value, s)
	if !s.command {
		o.meantVariable = unexpandedVariable(n.Value)
	}
	if r.origins[at] = o; !ok {
		return "", false
	}
	if len(o.variables) == 0 && !slices.Contains(s.yamlTags, tag) {
		r.reportMistake(at, "%s%s", wrongType(n, s), o.writeVariable())
		return "", false
	}
	return text, true
}

func (r *configReader) expandText(at, value string, s *fieldInfo) (string, []string, bool) {
	text, variables, err := expandVariables(value, r.env)
	if undefined, ok := errors.AsType[undefinedError](err); ok && s.command {
		err = undefined.inCommand()
	}
	if err != nil {
		r.reportMistake(at, "%v", err)
	}
	return text, variables, err == nil
}

// onOneLine is what to do about a command that is written as a list of words.
func onOneLine(n *yaml.Node, s *fieldInfo) string {
	if s.command && n.Kind == yaml.SequenceNode {
		return ": write the command on one line"
	}
	return ""
}

// wrongType tells how a value of another type is written.
func wrongType(n *yaml.Node, s *fieldInfo) string {
	value := quoteShort(n.Value)
	if s.secret {
		value = "the value (not shown)"
	}
	said := fmt.Sprintf("%s is %s, but it must be %s", value, nodeKind(n), s.expected)
	switch {
	case slices.Contains(s.yamlTags, "!!str"):
		return said + ": put it in quotes"
	case n.ShortTag() == "!!str" && n.Style != 0 && s.valid(n.Value) == nil:
		return said + ": remove the quotes"
	}
	return said
}

// nodeKind is what a node is to people.
func nodeKind(n *yaml.Node) string {
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

// isBareValue tells a single value.
func isBareValue(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null"
}
