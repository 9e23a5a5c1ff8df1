package schema

import (
	"fmt"
	"slices"
	"strings"
)

// maxDepth is how deep a schema may be nested.
const maxDepth = 64

// Document is a schema that was parsed and found fit. It is safe for concurrent use.
type Document struct {
	root     any
	draft    draft
	compiled *compiled
	quick    *quickCheck // nil: the schema has something that it does not know
}

// draft is a version of JSON Schema.
type draft int

const (
	draft7    draft = 7
	draft2019 draft = 2019
	draft2020 draft = 2020
)

// drafts are those that schemas may be written in, by their $schema without the "#" at its end.
var drafts = map[string]draft{
	"http://json-schema.org/draft-07/schema":       draft7,
	"https://json-schema.org/draft/2019-09/schema": draft2019,
	"https://json-schema.org/draft/2020-12/schema": draft2020,
}

// Keywords whose values are schemas, by how.
var (
	schemaKeywords = []string{"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"}
	listKeywords   = []string{"allOf", "anyOf", "items", "oneOf", "prefixItems"}
	mapKeywords    = []string{"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
)

// Parse reads a JSON Schema of draft 7, 2019-09 or 2020-12, which is that of a schema without
// $schema. It refuses, with ErrInvalidSchema and the place:
//
//   - more than MaxSchema bytes, a nesting of more than 64, numbers with more than 400 digits or an
//     exponent beyond 400,
//   - a $ref that is no path from the top of the schema, such as #/$defs/a: nothing is fetched; a
//     $dynamicRef, and an $id below the top,
//   - a $ref that leads back to itself without going into the data, and schemas of which a small
//     event can have parts checked more than 10,000 times,
//   - patterns that Go's regular expressions do not have, such as lookaheads, and those that make
//     more than 10,000 instructions.
//
// The keyword format is checked, in all drafts.
func Parse(text []byte) (*Document, error) {
	if len(text) > MaxSchema {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrInvalidSchema, len(text), MaxSchema)
	}
	root, err := decodeJSON(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSchema, err)
	}
	d := &Document{root: root, draft: draft2020}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSchema, err)
	}
	if d.compiled, err = compile(d.root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSchema, err)
	}
	if err := d.checkCost(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidSchema, err)
	}
	d.quick = newQuickCheck(d)
	return d, nil
}

// check refuses what the compiler would not.
func (d *Document) check() error {
	switch root := d.root.(type) {
	case bool:
		return nil
	case map[string]any:
		if err := d.readDraft(root); err != nil {
			return err
		}
	default:
		return &pathError{nil, "a schema is an object, true or false"}
	}
	if err := checkDepth(d.root, nil); err != nil {
		return err
	}
	return d.checkNode(d.root, "", map[string]bool{})
}

func (d *Document) readDraft(root map[string]any) error {
	name, given := root["$schema"]
	if !given {
		return nil
	}
	text, _ := name.(string)
	known, ok := drafts[strings.TrimSuffix(text, "#")]
	if !ok {
		return &pathError{[]string{"$schema"}, fmt.Sprintf("%.100q is unknown: write http://json-schema.org/draft-07/schema#, https://json-schema.org/draft/2020-12/schema, or leave it out", text)}
	}
	d.draft = known
	return nil
}

func checkDepth(v any, path []string) error {
	if len(path) > maxDepth {
		return &pathError{path, fmt.Sprintf("nested deeper than %d", maxDepth)}
	}
	for token, child := range children(v) {
		if err := checkDepth(child, append(path, token)); err != nil {
			return err
		}
	}
	return nil
}

// checkNode checks a schema, and those in it. seen are pointers of those that were checked.
func (d *Document) checkNode(v any, at string, seen map[string]bool) error {
	if seen[at] {
		return nil
	}
	seen[at] = true
	node, ok := v.(map[string]any)
	if !ok {
		return nil // the compiler knows what else is none
	}
	if err := d.checkReferences(node, at, seen); err != nil {
		return err
	}
	if err := checkPatterns(node, at); err != nil {
		return err
	}
	for pointer, child := range subschemas(node) {
		if err := d.checkNode(child, at+pointer, seen); err != nil {
			return err
		}
	}
	return nil
}

// checkPatterns says why a pattern is refused, which the compiler would not.
func checkPatterns(node map[string]any, at string) error {
	if pattern, ok := node["pattern"].(string); ok {
		if _, err := compilePattern(pattern); err != nil {
			return fmt.Errorf("at %s: %w", showRaw(appendPointer(at, "pattern")), err)
		}
	}
	for pattern := range children(node["patternProperties"]) {
		if _, err := compilePattern(pattern); err != nil {
			return fmt.Errorf("at %s: %w", showRaw(appendPointer(at, "patternProperties", pattern)), err)
		}
	}
	return nil
}

// checkReferences refuses references that leave the schema, and what makes it ambiguous where they
// lead.
func (d *Document) checkReferences(node map[string]any, at string, seen map[string]bool) error {
	below := "$schema"
	if _, ok := node["$id"]; ok {
		below = "$id"
	}
	if _, ok := node[below]; ok && at != "" {
		return fmt.Errorf("at %s: %s is allowed at the top alone", showRaw(at), below)
	}
	for _, keyword := range []string{"$dynamicRef", "$recursiveRef"} {
		if _, ok := node[keyword]; ok {
			return fmt.Errorf("at %s: write $ref instead", showRaw(appendPointer(at, keyword)))
		}
	}
	ref, ok := node["$ref"].(string)
	if !ok {
		return nil
	}
	where := showRaw(appendPointer(at, "$ref"))
	if !strings.HasPrefix(ref, "#") {
		return fmt.Errorf("at %s: %.100q leads out of the schema, and nothing is fetched: copy what it names below $defs, and write #/$defs/NAME", where, ref)
	}
	target, pointer, found := lookUp(d.root, ref)
	if !found {
		return fmt.Errorf("at %s: %.100q leads nowhere: write a path from the top, such as #/$defs/NAME", where, ref)
	}
	return d.checkNode(target, pointer, seen)
}

// showRaw is a pointer for people.
func showRaw(pointer string) string {
	if pointer == "" {
		return "/"
	}
	return clip(pointer, maxShownPointer)
}

// children are the values in an array or object, by their tokens.
func children(v any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range sortedNames(v) {
				if !yield(name, v[name]) {
					return
				}
			}
		case []any:
			for i, item := range v {
				if !yield(fmt.Sprint(i), item) {
					return
				}
			}
		}
	}
}

// subschemas are the schemas directly in one, by their pointers below it.
func subschemas(node map[string]any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		for _, keyword := range sortedNames(node) {
			for pointer, child := range subschemasUnder(keyword, node[keyword]) {
				if !yield(pointer, child) {
					return
				}
			}
		}
	}
}

// subschemasUnder are those under one keyword.
func subschemasUnder(keyword string, value any) func(yield func(string, any) bool) {
	return func(yield func(string, any) bool) {
		_, isList := value.([]any)
		switch {
		case slices.Contains(mapKeywords, keyword) || isList && slices.Contains(listKeywords, keyword):
			for token, child := range children(value) {
				if !yield(pointerOf([]string{keyword, token}), child) {
					return
				}
			}
		case !isList && slices.Contains(schemaKeywords, keyword):
			yield(pointerOf([]string{keyword}), value)
		}
	}
}
