package config

import "go.yaml.in/yaml/v4"

// maxMappingKeys is how many keys all mappings of a file may have; those behind an alias count each
// time.
const maxMappingKeys = 100_000

// mappingEntry is one key of a mapping with its value.
type mappingEntry struct {
	name       string
	key, value *yaml.Node
}

// mappingEntries returns the keys of a mapping. Nothing at all is an empty mapping. advice says
// what to do about a value that is no mapping.
func (r *configReader) mappingEntries(at string, n *yaml.Node, advice string) []mappingEntry {
	alias := n
	if n = r.followAliases(at, n); n == nil || n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.recordOrigin(at, alias)
		r.unread[at] = true
		r.reportMistake(at, "it is %s, but a mapping is wanted: %s", nodeKind(n), advice)
		return nil
	}
	var entries []mappingEntry
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.keys++; r.keys > maxMappingKeys {
			if r.keys == maxMappingKeys+1 {
				r.reportMistake(at, "more than %d keys up to here: write a smaller file", maxMappingKeys)
			}
			break
		}
		if entry := (mappingEntry{n.Content[i].Value, n.Content[i], n.Content[i+1]}); r.checkKey(at, entry.key, lines) {
			entries = append(entries, entry)
		}
	}
	return entries
}

// checkKey reports whether a key can be used. lines are those of the keys before it.
func (r *configReader) checkKey(at string, key *yaml.Node, lines map[string]int) bool {
	origin := valueOrigin{line: key.Line, column: key.Column}
	first, duplicate := lines[key.Value]
	switch {
	case key.Kind != yaml.ScalarNode:
		r.reportMistake(at, "the key on line %d is not text: quote what has braces, brackets or an asterisk", key.Line)
		return false
	case key.ShortTag() == "!!merge":
		r.reportMistakeAt(at, origin, "merge keys (<<) are not supported: write the keys out, with an alias (*name) for each value that is shared")
		return false
	case duplicate:
		if isShowableName(key.Value) {
			at = joinPath(at, key.Value)
		}
		r.reportMistakeAt(at, origin, "duplicate key (first set on line %d)", first)
		return false
	}
	lines[key.Value] = key.Line
	return true
}
