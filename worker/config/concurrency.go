package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/onceish/onceish/consumer"
)

// Concurrency is how many handlers run at once in this process.
type Concurrency struct {
	// Min is the least of a number that is adjusted to the receiver. Zero: it is fixed at Max.
	Min int
	Max int
}

// maxAutoConcurrency is the most that `auto` alone runs at once.
const maxAutoConcurrency = 64

// IsAuto reports whether the number is adjusted to the receiver, between Min and Max.
func (c Concurrency) IsAuto() bool { return c.Min > 0 }

// String is the concurrency as it is written in the file.
func (c Concurrency) String() string {
	switch {
	case !c.IsAuto():
		return strconv.Itoa(c.Max)
	case c == Concurrency{Min: 1, Max: maxAutoConcurrency}:
		return "auto"
	}
	return fmt.Sprintf("auto:%d-%d", c.Min, c.Max)
}

var autoForm = regexp.MustCompile(`^auto(:[1-9]\d*-[1-9]\d*)?$`)

// concurrencyField is a number, or a range of them.
func concurrencyField[S any](name string, at func(*S) *Concurrency, limit consumer.Limit[int], fixed int) *scalarField[S, Concurrency] {
	bounds := fmt.Sprintf("%d to %d", limit.Min, limit.Max)
	wants := "a whole number from " + bounds + ", auto, or auto with a range such as auto:2-32"
	l := newScalarField(name, "number or `auto`", wants, at, func(s string) (Concurrency, error) {
		c, ok := parseConcurrency(s)
		switch {
		case !ok || c.Max > limit.Max || c.Max < limit.Min:
			return Concurrency{}, fmt.Errorf("%s is not %s", quoteShort(s), wants)
		case c.Min > c.Max:
			return Concurrency{}, fmt.Errorf("%s begins with the larger number: write auto:%d-%d", quoteShort(s), c.Max, c.Min)
		}
		return c, nil
	}, Concurrency.String).withDefault(Concurrency{Max: fixed})
	l.bounds, l.jsonDefault = bounds, fixed
	l.yamlTags = append(l.yamlTags, "!!int", "!!float") // for a better message
	l.jsonShape = map[string]any{"anyOf": []any{
		map[string]any{"type": "integer", "minimum": limit.Min, "maximum": limit.Max},
		map[string]any{"type": "string", "pattern": `^([1-9][0-9]*|` + strings.Trim(autoForm.String(), "^$") + `)$`},
	}}
	return l
}

func parseConcurrency(s string) (c Concurrency, ok bool) {
	low, high, found := strings.Cut(strings.TrimPrefix(s, "auto:"), "-")
	switch {
	case s == "auto":
		return Concurrency{Min: 1, Max: maxAutoConcurrency}, true
	case !autoForm.MatchString(s):
		low, high, found = "0", s, decimal.MatchString(s)
	}
	var errMin, errMax error
	c.Min, errMin = strconv.Atoi(low)
	c.Max, errMax = strconv.Atoi(high)
	return c, found && errMin == nil && errMax == nil
}
