package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// statuses are those of HTTP that refuse a request, separated by commas.
func statuses[S any](name string, at func(*S) *[]int) *leaf[S, []int] {
	l := newLeaf(name, "statuses", "statuses from 400 to 499 such as 404,422", at, parseStatuses, func(all []int) string {
		words := make([]string, len(all))
		for i, status := range all {
			words[i] = strconv.Itoa(status)
		}
		return strings.Join(words, ",")
	})
	l.tags = append(l.tags, "!!int")
	l.shape = map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": 400, "maximum": 499},
		map[string]any{"type": "string", "pattern": "^ *4[0-9][0-9] *(, *4[0-9][0-9] *)*$"},
	}}
	return l
}

func parseStatuses(s string) ([]int, error) {
	var out []int
	for word := range strings.SplitSeq(s, ",") {
		word = strings.Trim(word, " ")
		status, err := strconv.Atoi(word)
		if err != nil || len(word) != len("404") || status < 400 || status > 499 {
			return nil, fmt.Errorf("%s is no status from 400 to 499: write such as 404,422", quote(word))
		}
		if slices.Contains(out, status) {
			return nil, fmt.Errorf("%d is there twice", status)
		}
		out = append(out, status)
	}
	return out, nil
}
