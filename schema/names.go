package schema

import (
	"maps"
	"slices"
)

// sortedNames are the names of an object's members.
func sortedNames[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
