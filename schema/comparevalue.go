package schema

import (
	"fmt"
	"math/big"
	"slices"
)

// items is what a part says of the items of arrays.
type items struct {
	prefix []place
	rest   place
	hasAll bool // there is a rest
}

func itemsOf(p *part) (out items) {
	prefix, rest := "prefixItems", "items"
	if _, isList := p.node["items"].([]any); isList {
		prefix, rest = "items", "additionalItems"
	}
	for token, child := range children(p.node[prefix]) {
		out.prefix = append(out.prefix, place{p.d, appendPointer(p.at, prefix, token), child})
	}
	out.rest, out.hasAll = p.child(rest)
	return out
}

// item returns the schema of an item; ok is false if there is none.
func (i *items) item(at int) (p place, ok bool) {
	if at < len(i.prefix) {
		return i.prefix[at], true
	}
	return i.rest, i.hasAll
}

func (c *comparison) compareArray(r *part, w []part) {
	reads := itemsOf(r)
	writes := make([]items, len(w))
	n := len(reads.prefix)
	for i := range w {
		if w[i].node != nil {
			writes[i] = itemsOf(&w[i])
		}
		n = max(n, len(writes[i].prefix))
	}
	for at := range n + 1 { // the last one stands for all that follow
		child, ok := reads.item(at)
		if !ok {
			continue
		}
		var of []part
		for i := range writes {
			if item, ok := writes[i].item(at); ok {
				of = append(of, flatten(item)...)
			}
		}
		if most := smallest(w, "maxItems"); most == nil || most.Cmp(big.NewRat(int64(at), 1)) > 0 {
			c.compare(child, of)
		}
	}
	c.compareCount(r, "minItems", largest(w, "minItems"), 0, 1)
	c.compareCount(r, "maxItems", smallest(w, "maxItems"), -1, -1)
	if r.node["uniqueItems"] == true && !slices.ContainsFunc(w, func(p part) bool { return p.node["uniqueItems"] == true }) {
		c.report(appendPointer(r.at, "uniqueItems"), "items must differ, and those of version %d need not", c.writer)
	}
}

func (c *comparison) compareString(r *part, w []part) {
	c.compareCount(r, "minLength", largest(w, "minLength"), 0, 1)
	c.compareCount(r, "maxLength", smallest(w, "maxLength"), -1, -1)
	for _, keyword := range []string{"pattern", "format"} {
		wants, ok := r.node[keyword]
		if !ok || slices.ContainsFunc(w, func(p part) bool { return p.node[keyword] == wants }) {
			continue
		}
		if slices.ContainsFunc(w, func(p part) bool { _, ok := p.node[keyword]; return ok }) {
			c.reportUndecided(appendPointer(r.at, keyword), "it is another one than in version %d", c.writer)
		} else {
			c.report(appendPointer(r.at, keyword), "it is %.64q, and version %d has none", fmt.Sprint(wants), c.writer)
		}
	}
}

// bound is a limit of numbers.
type bound struct {
	at        *big.Rat
	exclusive bool
}

// tighter reports whether b allows less than other. sign is 1 for lower bounds, and -1 for upper
// ones.
func (b *bound) tighter(other *bound, sign int) bool {
	if other == nil {
		return true
	}
	order := sign * b.at.Cmp(other.at)
	return order > 0 || order == 0 && b.exclusive && !other.exclusive
}

// boundOf is the tightest bound of parts; nil if there is none.
func boundOf(ps []part, inclusive, exclusive string, sign int) (tightest *bound) {
	for _, p := range ps {
		for keyword, excludes := range map[string]bool{inclusive: false, exclusive: true} {
			if r := ratOf(p.node[keyword]); r != nil {
				if b := (&bound{r, excludes}); b.tighter(tightest, sign) {
					tightest = b
				}
			}
		}
	}
	return tightest
}

func (c *comparison) compareNumber(r *part, w []part) {
	for _, keyword := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
		inclusive, exclusive, sign := "minimum", "exclusiveMinimum", 1
		if keyword == "maximum" || keyword == "exclusiveMaximum" {
			inclusive, exclusive, sign = "maximum", "exclusiveMaximum", -1
		}
		limit := ratOf(r.node[keyword])
		if limit == nil {
			continue
		}
		wants, has := bound{limit, keyword == exclusive}, boundOf(w, inclusive, exclusive, sign)
		if has == nil {
			c.report(appendPointer(r.at, keyword), "it is %s, and version %d has no such bound", showRat(limit), c.writer)
		} else if wants.tighter(has, sign) {
			c.report(appendPointer(r.at, keyword), "it is %s, and version %d goes to %s", showRat(limit), c.writer, showRat(has.at))
		}
	}
	c.compareMultiple(r, w)
}

func (c *comparison) compareMultiple(r *part, w []part) {
	wants := ratOf(r.node["multipleOf"])
	if wants == nil || wants.Sign() == 0 {
		return
	}
	divides := func(n *big.Rat) bool { return n != nil && new(big.Rat).Quo(n, wants).IsInt() }
	integers := typesOf(w)&typeFraction == 0 && divides(big.NewRat(1, 1))
	if !integers && !slices.ContainsFunc(w, func(p part) bool { return divides(ratOf(p.node["multipleOf"])) }) {
		c.report(appendPointer(r.at, "multipleOf"), "it is %s, and version %d writes other numbers", showRat(wants), c.writer)
	}
}
