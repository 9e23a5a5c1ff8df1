package config

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// mostPairs is how many keys all mappings of a file may have, merged ones counted each time.
const mostPairs = 100_000

// pair is one key of a mapping.
type pair struct {
	name       string
	key, value *yaml.Node
}

// gathering collects the pairs of a mapping and of those that are merged into it (<<).
type gathering struct {
	*reader
	at  string
	out []pair
	// seen tells from which visit to a mapping a key comes: the first has precedence, and none may
	// have it twice.
	seen   map[string]seen
	visits int
	// advice is what to do about a value that is no mapping.
	advice string
}

type seen struct{ visit, line int }

// pairs are the keys of a mapping, merged ones last and only where they are not given. Nothing at
// all is an empty mapping. advice is what to do about a value that is no mapping.
func (r *reader) pairs(at string, n *yaml.Node, advice string) []pair {
	g := &gathering{reader: r, at: at, seen: make(map[string]seen), advice: advice}
	g.visit(n, nil)
	return g.out
}

// visit takes the keys of a mapping. within are the mappings that it is being merged into.
func (g *gathering) visit(n *yaml.Node, within []*yaml.Node) {
	alias := n
	if n = g.resolve(g.at, n); n == nil || n.ShortTag() == "!!null" {
		return
	}
	switch {
	case n.Kind != yaml.MappingNode:
		g.place(g.at, alias)
		g.unread[g.at] = true
		g.mistake(g.at, "it is %s, but a mapping is wanted: %s", sort(n), g.advice)
		return
	case slices.Contains(within, n):
		g.place(g.at, alias)
		g.mistake(g.at, "a mapping is merged (<<) into itself: write its keys out")
		return
	}
	g.visits++
	visit := g.visits
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merges = append(merges, v)
		} else if !g.add(visit, k, v) {
			return
		}
	}
	g.merge(merges, append(within, n))
}

// add is false when there are too many.
func (g *gathering) add(visit int, k, v *yaml.Node) bool {
	if g.keys++; g.keys > mostPairs {
		if g.keys == mostPairs+1 {
			g.mistake(g.at, "more than %d keys up to here: write a smaller file", mostPairs)
		}
		return false
	}
	before, there := g.seen[k.Value]
	switch {
	case k.Kind != yaml.ScalarNode:
		g.mistake(g.at, "the key on line %d is not text: quote what has braces, brackets or an asterisk", k.Line)
	case there && before.visit == visit:
		g.twice(k, before.line)
	case !there:
		g.seen[k.Value] = seen{visit, k.Line}
		g.out = append(g.out, pair{k.Value, k, v})
	}
	return true
}

func (g *gathering) merge(merges, within []*yaml.Node) {
	for _, m := range merges {
		target := g.resolve(g.at, m)
		if target == nil {
			return
		}
		if target.Kind != yaml.SequenceNode {
			g.visit(m, within)
			continue
		}
		for _, item := range target.Content {
			g.visit(item, within)
		}
	}
}

func (g *gathering) twice(k *yaml.Node, line int) {
	path := g.at
	if nameable(k.Value) {
		path = join(g.at, k.Value)
	}
	g.complain(path, origin{line: k.Line, column: k.Column}, "it is there twice, first on line %d: remove one", line)
}
