package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/onceish/onceish/bus"
)

// ViolationError is how an event violates its schema. Nothing in it is a value of the event's data.
type ViolationError struct {
	Subject

	// Number is the version that was checked; 0 if none was.
	Number int
	// Path is the JSON Pointer of the first part of the data that is wrong. Empty: all of it.
	Path string
	// Problem says what is wrong there.
	Problem string
	// More is how many further problems there are.
	More int
}

// Error says what is wrong and where.
func (v *ViolationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", ErrViolation, v.Subject)
	if v.Number > 0 {
		fmt.Fprintf(&b, ", version %d", v.Number)
	}
	fmt.Fprintf(&b, ", at %s: %s", showRaw(v.Path), v.Problem)
	if v.More > 0 {
		fmt.Fprintf(&b, " (and %d more)", v.More)
	}
	return b.String()
}

// Is reports whether an error is ErrViolation, or bus.ErrInvalidEvent.
func (v *ViolationError) Is(err error) bool { return err == ErrViolation || err == bus.ErrInvalidEvent }

// Validate returns how data violates the schema; nil if it does not.
func (d *Document) Validate(data []byte) *ViolationError {
	v, err := decodeJSON(data)
	if err != nil {
		return violationOf(err)
	}
	return d.validateValue(v)
}

// violationOf is that of data that cannot be read.
func violationOf(err error) *ViolationError {
	if e, ok := err.(*pathError); ok { //nolint:errorlint // decodeJSON wraps nothing
		return &ViolationError{Path: pointerOf(e.path), Problem: e.problem}
	}
	return &ViolationError{Problem: err.Error()}
}

func (d *Document) validateValue(v any) *ViolationError {
	if d.quick != nil && d.quick.accepts(v) {
		return nil
	}
	err := d.compiled.root.Validate(v)
	if err == nil {
		return nil
	}
	found, ok := err.(*jsonschema.ValidationError) //nolint:errorlint // it is never wrapped
	if !ok {
		return &ViolationError{Problem: "it cannot be checked"}
	}
	leaves := sortedLeaves(found)
	first := leaves[0]
	return &ViolationError{Path: pointerOf(first.InstanceLocation), Problem: describeKind(first.ErrorKind), More: len(leaves) - 1}
}

// firstLeaf is what a validation error comes down to.
func firstLeaf(e *jsonschema.ValidationError) *jsonschema.ValidationError { return sortedLeaves(e)[0] }

// sortedLeaves are what is wrong, by path.
func sortedLeaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	leaves := appendLeaves(nil, e)
	slices.SortStableFunc(leaves, func(a, b *jsonschema.ValidationError) int {
		return slices.Compare(a.InstanceLocation, b.InstanceLocation)
	})
	return leaves
}

// appendLeaves appends what is wrong. Below alternatives all is wrong in one way or
// another, so they are named as a whole.
func appendLeaves(leaves []*jsonschema.ValidationError, e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains, *kind.PropertyNames:
		return append(leaves, e)
	}
	if len(e.Causes) == 0 {
		return append(leaves, e)
	}
	for _, cause := range e.Causes {
		leaves = appendLeaves(leaves, cause)
	}
	return leaves
}

// describeKind says what is wrong without a value of the data. Lengths and counts are none.
func describeKind(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("it is %s, want %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		return "missing " + quoteNames(k.Missing)
	case *kind.DependentRequired:
		return fmt.Sprintf("missing %s, which %s needs", quoteNames(k.Missing), quoteNames([]string{k.Prop}))
	case *kind.Dependency:
		return fmt.Sprintf("missing %s, which %s needs", quoteNames(k.Missing), quoteNames([]string{k.Prop}))
	case *kind.AdditionalProperties:
		return "unexpected " + quoteNames(slices.Sorted(slices.Values(k.Properties)))
	case *kind.Enum:
		return "it is none of the values that enum lists"
	case *kind.Const:
		return "it is not the value of const"
	case *kind.Pattern:
		return fmt.Sprintf("it does not match the pattern %.100q", k.Want)
	case *kind.Format:
		return fmt.Sprintf("it is no %s", k.Want)
	case *kind.FalseSchema:
		return "nothing is allowed there"
	case *kind.AnyOf:
		return "it is valid under no schema of anyOf"
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			return "it is valid under more than one schema of oneOf"
		}
		return "it is valid under no schema of oneOf"
	case *kind.MinLength:
		return fmt.Sprintf("it has %d characters, want at least %d", k.Got, k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("it has %d characters, want at most %d", k.Got, k.Want)
	}
	return describeBound(k)
}

// describeBound is describeKind for bounds.
func describeBound(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("it has %d items, want at least %d", k.Got, k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("it has %d items, want at most %d", k.Got, k.Want)
	case *kind.MinProperties:
		return fmt.Sprintf("it has %d properties, want at least %d", k.Got, k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("it has %d properties, want at most %d", k.Got, k.Want)
	case *kind.Minimum:
		return "it is less than the minimum of " + showRat(k.Want)
	case *kind.Maximum:
		return "it is more than the maximum of " + showRat(k.Want)
	case *kind.ExclusiveMinimum:
		return "it is not more than " + showRat(k.Want)
	case *kind.ExclusiveMaximum:
		return "it is not less than " + showRat(k.Want)
	case *kind.MultipleOf:
		return "it is no multiple of " + showRat(k.Want)
	case *kind.UniqueItems:
		return fmt.Sprintf("its items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	}
	if path := k.KeywordPath(); len(path) > 0 {
		return "it violates the keyword " + path[0]
	}
	return "it cannot be valid"
}

// quoteNames shows a few names.
func quoteNames(names []string) string {
	const most = 5
	shown := make([]string, 0, most)
	for _, name := range names[:min(most, len(names))] {
		shown = append(shown, fmt.Sprintf("%.64q", name))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
