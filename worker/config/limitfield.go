package config

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
)

const (
	maxStreamBytes  = 1 << 50
	maxMessageBytes = 64 << 20 // a server takes no more
)

// sizeForm is what sizes look like, for JSON Schema too.
const sizeForm = `^([1-9]\d{0,15})(B|KiB|MiB|GiB|TiB)$`

var (
	sizeWhole = regexp.MustCompile(sizeForm)
	sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}
)

// ParseSize takes a whole number of bytes with its unit, each 1,024 times the one before: B, KiB,
// MiB, GiB or TiB.
func ParseSize(s string) (int64, error) {
	parts := sizeWhole.FindStringSubmatch(s)
	switch {
	case parts != nil:
	case decimal.MatchString(s):
		return 0, fmt.Errorf("%s has no unit: write %sB for bytes, or %sKiB, %sMiB, %sGiB", quoteShort(s), s, s, s, s)
	default:
		return 0, fmt.Errorf("%s is no size: write one such as 512KiB, 64MiB or 10GiB", quoteShort(s))
	}
	shift := 10 * slices.Index(sizeUnits, parts[2])
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%s is more than can be counted", quoteShort(s))
	}
	return n << shift, nil
}

// FormatSize is the shortest text that ParseSize takes for the size.
func FormatSize(n int64) string {
	unit := 0
	for unit+1 < len(sizeUnits) && n > 0 && n%1024 == 0 {
		n, unit = n/1024, unit+1
	}
	return strconv.FormatInt(n, 10) + sizeUnits[unit]
}

// sizeField is a number of bytes.
func sizeField[S any](name string, at func(*S) *int64, most int64) *scalarField[S, int64] {
	bounds := "1B to " + FormatSize(most)
	wants := "a size from " + bounds
	l := newScalarField(name, "size", wants, at, func(s string) (int64, error) {
		n, err := ParseSize(s)
		if err == nil && n > most {
			err = fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return n, err
	}, FormatSize)
	l.bounds, l.yamlTags = bounds, append(l.yamlTags, "!!int", "!!float") // for a better message
	l.jsonShape["pattern"] = sizeForm
	return l
}

// countField is a whole number that is large.
func countField[S any](name string, at func(*S) *int64) *scalarField[S, int64] {
	wants := "a whole number from 1 on"
	l := newScalarField(name, "number", wants, at, func(s string) (int64, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || !decimal.MatchString(s) {
			return 0, fmt.Errorf("%s is not %s, in decimal digits", quoteShort(s), wants)
		}
		return n, nil
	}, func(n int64) string { return strconv.FormatInt(n, 10) })
	l.bounds, l.yamlTags = "from 1", []string{"!!int"}
	l.jsonShape = map[string]any{"type": "integer", "minimum": 1}
	return l
}

// unlimited is the text of Unlimited.
const unlimited = "unlimited"

// orUnlimited makes of a field one that also takes Unlimited. Zero: nobody said.
func orUnlimited[S any, T int64 | time.Duration](l *scalarField[S, T]) *scalarField[S, T] {
	parse, show := l.parse, l.show
	l.kind, l.expected = l.kind+" or `unlimited`", l.expected+" or unlimited"
	l.parse = func(s string) (T, error) {
		if s == unlimited {
			return Unlimited, nil
		}
		return parse(s)
	}
	l.valid = func(s string) error {
		_, err := l.parse(s)
		return err
	}
	l.show = func(v T) string {
		if v == Unlimited {
			return unlimited
		}
		return show(v)
	}
	if l.yamlTags[0] != "!!str" {
		l.yamlTags = append(l.yamlTags, "!!str")
	}
	l.jsonShape = map[string]any{"anyOf": []any{map[string]any{"const": unlimited}, l.jsonShape}}
	return l.withDefaultText(unlimited + keepsOwn)
}

// subjectsField is a list of topics or patterns, with one at least.
func subjectsField[S any](name, meaning string, at func(*S) *[]string) *textList[S] {
	return &textList[S]{
		fieldInfo: fieldInfo{
			name: name, kind: "list of topics or patterns", expected: "a topic such as order.placed, or a pattern such as order.*", meaning: meaning,
			scalarList: true, required: true, yamlTags: []string{"!!str"},
			jsonShape: map[string]any{"type": "string", "minLength": 1}, valid: bus.ValidPattern,
		},
		at: at,
	}
}
