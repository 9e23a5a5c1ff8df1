package schema

import (
	"errors"
	"fmt"
	"maps"
)

// maxCost is how often parts of a schema may be checked on one way from the top of an event down to
// a depth of maxDepth.
const maxCost = 10_000

// costs counts how often parts of a schema are checked. A schema that applies two others to the
// same value, which apply two each, makes exponentially many.
type costs struct {
	d       *Document
	inPlace map[string]map[string]float64 // by pointer: what is checked of the same value, and how often
	open    map[string]bool               // those being counted
	below   map[string]*applied
	cost    map[string]float64
}

// applied are the schemas that one applies to what is in a value.
type applied struct {
	named map[string][]string // of objects, by property
	every []string            // of objects, to each property
	items []string            // of arrays
}

// checkCost refuses schemas that small events make long work of.
func (d *Document) checkCost() error {
	c := &costs{
		d: d, inPlace: map[string]map[string]float64{}, open: map[string]bool{}, below: map[string]*applied{}, cost: map[string]float64{},
	}
	if err := c.collect(""); err != nil {
		return err
	}
	for range maxDepth {
		next := make(map[string]float64, len(c.inPlace))
		for at := range c.inPlace {
			next[at] = min(c.costOf(at), 2*maxCost)
		}
		if next[""] > maxCost {
			return fmt.Errorf("an event can have parts checked more than %d times: apply fewer schemas to one value (allOf, anyOf, oneOf, $ref), above all where they refer to each other", maxCost)
		}
		if maps.Equal(next, c.cost) {
			return nil
		}
		c.cost = next
	}
	return nil
}

// collect notes what is reached from a schema.
func (c *costs) collect(at string) error {
	if c.inPlace[at] != nil {
		return nil
	}
	if _, err := c.closure(at); err != nil {
		return err
	}
	for part := range c.inPlace[at] {
		if err := c.collectBelow(part); err != nil {
			return err
		}
	}
	return nil
}

func (c *costs) collectBelow(at string) error {
	if c.below[at] != nil {
		return nil
	}
	a := &applied{named: map[string][]string{}}
	c.below[at] = a
	if node, ok := c.node(at); ok {
		a.collect(node, at)
	}
	for _, child := range a.all() {
		if err := c.collect(child); err != nil {
			return err
		}
	}
	return nil
}

func (c *costs) node(at string) (map[string]any, bool) {
	v, _ := follow(c.d.root, at)
	node, ok := v.(map[string]any)
	return node, ok
}

// closure counts what is checked of the same value as the schema at a pointer, itself included.
func (c *costs) closure(at string) (map[string]float64, error) {
	if c.inPlace[at] != nil {
		return c.inPlace[at], nil
	}
	if c.open[at] {
		return nil, fmt.Errorf("at %s: it leads back to itself without going into the data", showRaw(at))
	}
	c.open[at] = true
	defer delete(c.open, at)
	sum := map[string]float64{at: 1}
	for _, next := range c.appliedInPlace(at) {
		of, err := c.closure(next)
		if err != nil {
			return nil, err
		}
		for part, n := range of {
			sum[part] = min(sum[part]+n, 2*maxCost)
		}
		if len(sum) > maxCost {
			return nil, errors.New("it applies too many schemas to one value")
		}
	}
	c.inPlace[at] = sum
	return sum, nil
}

// appliedInPlace are the schemas that one applies to its own value.
func (c *costs) appliedInPlace(at string) (out []string) {
	node, ok := c.node(at)
	if !ok {
		return nil
	}
	if ref, ok := node["$ref"].(string); ok {
		if _, pointer, found := lookUp(c.d.root, ref); found {
			out = append(out, pointer)
		}
	}
	for _, keyword := range []string{"not", "if", "then", "else"} {
		if _, ok := node[keyword]; ok {
			out = append(out, appendPointer(at, keyword))
		}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies"} {
		for token, child := range children(node[keyword]) {
			if _, isList := child.([]any); !isList {
				out = append(out, appendPointer(at, keyword, token))
			}
		}
	}
	return out
}

// collect notes what a schema applies to parts of its value.
func (a *applied) collect(node map[string]any, at string) {
	for name := range children(node["properties"]) {
		a.named[name] = append(a.named[name], appendPointer(at, "properties", name))
	}
	for pattern := range children(node["patternProperties"]) {
		a.every = append(a.every, appendPointer(at, "patternProperties", pattern))
	}
	for _, keyword := range []string{"additionalProperties", "unevaluatedProperties", "propertyNames"} {
		if _, ok := node[keyword]; ok {
			a.every = append(a.every, appendPointer(at, keyword))
		}
	}
	for _, keyword := range []string{"items", "additionalItems", "unevaluatedItems", "contains"} {
		if value, ok := node[keyword]; ok {
			if _, isList := value.([]any); !isList {
				a.items = append(a.items, appendPointer(at, keyword))
			}
		}
	}
	for _, keyword := range []string{"items", "prefixItems"} {
		if list, ok := node[keyword].([]any); ok {
			for token := range children(list) {
				a.items = append(a.items, appendPointer(at, keyword, token))
			}
		}
	}
}

func (a *applied) all() (out []string) {
	out = append(append(out, a.every...), a.items...)
	for _, name := range sortedNames(a.named) {
		out = append(out, a.named[name]...)
	}
	return out
}

// costOf is what the schema at a pointer costs by what those below it have cost so far.
func (c *costs) costOf(at string) float64 {
	var here, every, items float64
	named := map[string]float64{}
	for part, times := range c.inPlace[at] {
		here += times
		below := c.below[part]
		if below == nil {
			continue
		}
		every += times * c.sum(below.every)
		items += times * c.sum(below.items)
		for name, of := range below.named {
			named[name] += times * c.sum(of)
		}
	}
	worst := 0.0
	for _, cost := range named {
		worst = max(worst, cost)
	}
	return here + max(items, every+worst)
}

func (c *costs) sum(of []string) (total float64) {
	for _, at := range of {
		total += c.cost[at]
	}
	return total
}
