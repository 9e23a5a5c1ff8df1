package schema

// sameSchema reports whether two schemas have the same text, and so has what they refer to.
func sameSchema(a, b place) bool {
	return a.d.draft == b.d.draft && (&sameness{map[[2]string]bool{}}).same(a, b, true)
}

// sameKeywords reports whether some keywords are the same in two parts.
func sameKeywords(a, b *part, keywords []string) bool {
	if a.d.draft != b.d.draft {
		return false
	}
	for _, keyword := range keywords {
		x, inA := a.child(keyword)
		y, inB := b.child(keyword)
		if inA != inB || inA && !(&sameness{map[[2]string]bool{}}).same(x, y, false) {
			return false
		}
	}
	return true
}

// sameness remembers which schemas are being compared, for they may refer to each other.
type sameness struct{ seen map[[2]string]bool }

// same compares values. Definitions at the top count where they are referred to.
func (s *sameness) same(a, b place, top bool) bool {
	switch x := a.value.(type) {
	case map[string]any:
		y, ok := b.value.(map[string]any)
		return ok && s.sameTarget(a, b) && s.sameMembers(a, b, meaningful(x, top), meaningful(y, top))
	case []any:
		y, ok := b.value.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !s.same(place{a.d, a.at, x[i]}, place{b.d, b.at, y[i]}, false) {
				return false
			}
		}
		return true
	}
	return a.value == b.value
}

func (s *sameness) sameMembers(a, b place, x, y map[string]any) bool {
	if len(x) != len(y) {
		return false
	}
	for name, value := range x {
		other, ok := y[name]
		if !ok || !s.same(place{a.d, appendPointer(a.at, name), value}, place{b.d, appendPointer(b.at, name), other}, false) {
			return false
		}
	}
	return true
}

// sameTarget compares what two schemas refer to.
func (s *sameness) sameTarget(a, b place) bool {
	x, _ := a.value.(map[string]any)["$ref"].(string)
	y, _ := b.value.(map[string]any)["$ref"].(string)
	if x != y || x == "" || s.seen[[2]string{x, y}] {
		return x == y
	}
	s.seen[[2]string{x, y}] = true
	left, leftAt, ok := lookUp(a.d.root, x)
	right, rightAt, both := lookUp(b.d.root, y)
	if !ok || !both {
		return ok == both
	}
	return s.same(place{a.d, leftAt, left}, place{b.d, rightAt, right}, leftAt == "")
}

// meaningful is a schema without what is there for people, and at the top without definitions.
func meaningful(node map[string]any, top bool) map[string]any {
	if !top {
		return node
	}
	out := make(map[string]any, len(node))
	for name, value := range node {
		switch name {
		case "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "examples", "default":
		default:
			out[name] = value
		}
	}
	return out
}
