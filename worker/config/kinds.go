package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
)

func newLeaf[S, T any](name, kind, wants string, at func(*S) *T, parse func(string) (T, error), show func(T) string) *leaf[S, T] {
	return &leaf[S, T]{
		spec: spec{
			name: name, kind: kind, wants: wants, tags: []string{"!!str"}, shape: map[string]any{"type": "string"},
			valid: func(s string) error {
				_, err := parse(s)
				return err
			},
		},
		at: at, parse: parse, show: show,
	}
}

// text takes what valid does not refuse.
func text[S any](name, wants string, at func(*S) *string, valid func(string) error) *leaf[S, string] {
	parse := func(s string) (string, error) {
		if valid == nil {
			return s, nil
		}
		return s, valid(s)
	}
	return newLeaf(name, "text", wants, at, parse, func(s string) string { return s })
}

// filled is text that is not empty.
func filled[S any](name, wants string, at func(*S) *string) *leaf[S, string] {
	l := text(name, wants, at, func(s string) error {
		if s == "" {
			return fmt.Errorf("it is empty: it must be %s", wants)
		}
		return nil
	})
	l.shape["minLength"] = 1
	return l
}

// formed is text that matches a regular expression.
func formed[S any](name, wants string, at func(*S) *string, form *regexp.Regexp) *leaf[S, string] {
	l := text(name, wants, at, func(s string) error {
		if !form.MatchString(s) {
			return fmt.Errorf("%s is not %s", quote(s), wants)
		}
		return nil
	})
	l.shape["pattern"] = form.String()
	return l
}

// topic takes one topic, pattern also what stands for several.
func topic[S any](name string, at func(*S) *string) *leaf[S, string] {
	l := text(name, "a topic such as order.placed", at, bus.ValidTopic)
	l.kind, l.shape["minLength"] = "topic", 1
	return l
}

func pattern[S any](name string, at func(*S) *string) *leaf[S, string] {
	l := text(name, "a topic such as order.placed, or a pattern such as order.*", at, bus.ValidPattern)
	l.kind, l.shape["minLength"] = "topic or pattern", 1
	return l
}

var decimal = regexp.MustCompile(`^(0|-?[1-9]\d*)$`)

// count is a whole number.
func count[S any](name string, at func(*S) *int, limit consumer.Limit[int]) *leaf[S, int] {
	bounds := fmt.Sprintf("%d to %d", limit.Min, limit.Max)
	wants := "a whole number from " + bounds
	l := newLeaf(name, "number", wants, at, func(s string) (int, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case !decimal.MatchString(s): // what is octal to one is decimal to another
			return 0, fmt.Errorf("%s is not %s: write it in decimal digits, with no zeros before them", quote(s), wants)
		case err != nil || n < int64(limit.Min) || n > int64(limit.Max):
			return 0, fmt.Errorf("%s is not %s", quote(s), wants)
		}
		return int(n), nil
	}, strconv.Itoa)
	l.bounds, l.tags = bounds, []string{"!!int"}
	l.shape = map[string]any{"type": "integer", "minimum": limit.Min, "maximum": limit.Max}
	return l
}

// span is a duration.
func span[S any](name string, at func(*S) *time.Duration, limit consumer.Limit[time.Duration]) *leaf[S, time.Duration] {
	bounds := fmt.Sprintf("%s to %s", formatDuration(limit.Min), formatDuration(limit.Max))
	wants := "a duration from " + bounds
	l := newLeaf(name, "duration", wants, at, func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		if err == nil && (d < limit.Min || d > limit.Max) {
			err = fmt.Errorf("%s is not %s", quote(s), wants)
		}
		return d, err
	}, formatDuration)
	l.bounds, l.tags = bounds, append(l.tags, "!!int", "!!float") // for a better message
	l.shape["pattern"] = durationForm
	return l
}

// yesNo is true or false.
func yesNo[S any](name string, at func(*S) *bool) *leaf[S, bool] {
	l := newLeaf(name, "true or false", "true or false", at, func(s string) (bool, error) {
		switch s {
		case "true", "True", "TRUE":
			return true, nil
		case "false", "False", "FALSE":
			return false, nil
		}
		return false, fmt.Errorf("%s is neither true nor false", quote(s))
	}, strconv.FormatBool)
	l.tags, l.shape = []string{"!!bool"}, map[string]any{"type": "boolean"}
	return l.byDefault(false)
}

// named is a value by its name.
type named[T comparable] struct {
	name  string
	value T
}

// oneOf takes a name of some; the first is the default.
func oneOf[S any, T comparable](name string, at func(*S) *T, values ...named[T]) *leaf[S, T] {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.name
	}
	l := newLeaf(name, "one of", list(all), at, func(s string) (zero T, err error) {
		for _, v := range values {
			if v.name == s {
				return v.value, nil
			}
		}
		return zero, fmt.Errorf("%s is none of %s%s", quote(s), list(all), suggestion(s, all))
	}, func(v T) string {
		for _, n := range values {
			if n.value == v {
				return n.name
			}
		}
		return ""
	})
	l.values, l.shape = all, map[string]any{"enum": all}
	return l.byDefault(values[0].value)
}

// words are names that stand for themselves.
func words[T ~string](values ...T) []named[T] {
	out := make([]named[T], len(values))
	for i, v := range values {
		out[i] = named[T]{string(v), v}
	}
	return out
}

func suggestion(word string, valid []string) string {
	if near := commandline.Nearest(word, valid); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// begin is where a new group starts.
func begin[S any](name string, at func(*S) *bus.Start) *leaf[S, bus.Start] {
	l := newLeaf(name, "`earliest`, `latest` or a time", "earliest, latest or a time such as 2026-01-31T15:04:05Z", at, parseStart, func(s bus.Start) string {
		switch {
		case s.Latest:
			return "latest"
		case s.Time.IsZero():
			return "earliest"
		}
		return s.Time.Format(time.RFC3339Nano)
	})
	l.tags = []string{"!!str", "!!timestamp"}
	l.shape["pattern"] = `^(earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2}))$`
	return l.byDefault(bus.Start{})
}

func parseStart(s string) (bus.Start, error) {
	switch s {
	case "earliest":
		return bus.Start{}, nil
	case "latest":
		return bus.Start{Latest: true}, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.IsZero() {
		return bus.Start{}, fmt.Errorf("%s is neither earliest nor latest nor a time such as 2026-01-31T15:04:05Z%s",
			quote(s), suggestion(s, []string{"earliest", "latest"}))
	}
	return bus.Start{Time: at}, nil
}

// perTime is a rate.
func perTime[S any](name string, at func(*S) *Rate) *leaf[S, Rate] {
	l := newLeaf(name, "rate", "a rate such as 100/s, 30/m or 5/h", at, parseRate, Rate.String)
	l.tags = append(l.tags, "!!int", "!!float") // for a better message
	l.shape["pattern"] = `^ *0*[1-9][0-9]* */ *[smh] *$`
	return l
}

// validCollection follows MongoDB's restrictions on names.
func validCollection(s string) error {
	switch {
	case s == "" || strings.ContainsAny(s, "$\x00") || strings.HasPrefix(s, "system.") || strings.HasPrefix(s, ".") || strings.HasSuffix(s, "."):
		return fmt.Errorf("%s is no name of a collection: it must not be empty, hold $, begin with system., nor begin or end with a dot", quote(s))
	case len(s) > maxCollection:
		return fmt.Errorf("it is too long for a collection: at most %d bytes", maxCollection)
	case s == marksCollection, strings.HasPrefix(s, marksCollection+"."):
		return fmt.Errorf("%s has the marks of what was handled: name another collection", quote(s))
	}
	return nil
}

// maxCollection leaves room for the database's name and for the collection beside it, within the
// 255 bytes that servers take.
const maxCollection = 100

var mongoScheme = regexp.MustCompile(`^mongodb(\+srv)?://.`)

func validMongo(s string) error {
	if s != "" && !mongoScheme.MatchString(s) {
		return errors.New("it does not begin with mongodb:// or mongodb+srv://")
	}
	return nil
}
