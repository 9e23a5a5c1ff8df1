package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker/internal/command"
)

func newScalarField[S, T any](name, kind, wants string, at func(*S) *T, parse func(string) (T, error), show func(T) string) *scalarField[S, T] {
	return &scalarField[S, T]{
		fieldInfo: fieldInfo{
			name: name, kind: kind, expected: wants, yamlTags: []string{"!!str"}, jsonShape: map[string]any{"type": "string"},
			valid: func(s string) error {
				_, err := parse(s)
				return err
			},
		},
		at: at, parse: parse, show: show,
	}
}

// textField takes what valid does not refuse.
func textField[S any](name, wants string, at func(*S) *string, valid func(string) error) *scalarField[S, string] {
	parse := func(s string) (string, error) {
		if valid == nil {
			return s, nil
		}
		return s, valid(s)
	}
	return newScalarField(name, "text", wants, at, parse, func(s string) string { return s })
}

// nonEmptyField is text that is not empty.
func nonEmptyField[S any](name, wants string, at func(*S) *string) *scalarField[S, string] {
	l := textField(name, wants, at, func(s string) error {
		if s == "" {
			return fmt.Errorf("it is empty: it must be %s", wants)
		}
		return nil
	})
	l.jsonShape["minLength"] = 1
	return l
}

// commandField is a line that a shell can be given.
func commandField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	l := nonEmptyField(name, "a command line", at)
	l.command = true
	notEmpty := l.parse
	l.parse = func(s string) (string, error) {
		if s, err := notEmpty(s); err != nil {
			return s, err
		}
		return s, command.CheckLine(s)
	}
	return l
}

// patternField is text that matches a regular expression.
func patternField[S any](name, wants string, at func(*S) *string, form *regexp.Regexp) *scalarField[S, string] {
	l := textField(name, wants, at, func(s string) error {
		if !form.MatchString(s) {
			return fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return nil
	})
	l.jsonShape["pattern"] = form.String()
	return l
}

// memberForm is a path of members. One that begins with a dollar sign is another language's.
var memberForm = regexp.MustCompile(`^[^.$][^.]*(\.[^.]+)*$`)

// memberPathField is a member of a JSON payload, named by those that lead to it.
func memberPathField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	const wants = "a member of the payload such as order.id"
	l := patternField(name, wants, at, memberForm)
	formed := l.parse
	l.parse = func(s string) (string, error) {
		path, err := formed(s)
		plain := strings.TrimLeft(s, "$.")
		if err != nil && plain != s && memberForm.MatchString(plain) && unexpandedVariable(s) == "" {
			err = fmt.Errorf("%s is not %s: write %s", quoteShort(s), wants, plain)
		}
		return path, err
	}
	return l
}

// topicField takes one topic, pattern also what stands for several.
func topicField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	l := textField(name, "a topic such as order.placed", at, bus.ValidTopic)
	l.kind, l.jsonShape["minLength"] = "topic", 1
	return l
}

func topicPatternField[S any](name string, at func(*S) *string) *scalarField[S, string] {
	l := textField(name, "a topic such as order.placed, or a pattern such as order.*", at, bus.ValidPattern)
	l.kind, l.jsonShape["minLength"] = "topic or pattern", 1
	return l
}

var decimal = regexp.MustCompile(`^(0|-?[1-9]\d*)$`)

// intField is a whole number.
func intField[S any](name string, at func(*S) *int, limit consumer.Limit[int]) *scalarField[S, int] {
	bounds := fmt.Sprintf("%d to %d", limit.Min, limit.Max)
	wants := "a whole number from " + bounds
	l := newScalarField(name, "number", wants, at, func(s string) (int, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case !decimal.MatchString(s): // what is octal to one is decimal to another
			return 0, fmt.Errorf("%s is not %s: write it in decimal digits, with no zeros before them", quoteShort(s), wants)
		case err != nil || n < int64(limit.Min) || n > int64(limit.Max):
			return 0, fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return int(n), nil
	}, strconv.Itoa)
	l.bounds, l.yamlTags = bounds, []string{"!!int"}
	l.jsonShape = map[string]any{"type": "integer", "minimum": limit.Min, "maximum": limit.Max}
	return l
}

// durationField is a duration.
func durationField[S any](name string, at func(*S) *time.Duration, limit consumer.Limit[time.Duration]) *scalarField[S, time.Duration] {
	bounds := fmt.Sprintf("%s to %s", FormatDuration(limit.Min), FormatDuration(limit.Max))
	wants := "a duration from " + bounds
	l := newScalarField(name, "duration", wants, at, func(s string) (time.Duration, error) {
		d, err := ParseDuration(s)
		if err == nil && (d < limit.Min || d > limit.Max) {
			err = fmt.Errorf("%s is not %s", quoteShort(s), wants)
		}
		return d, err
	}, FormatDuration)
	l.bounds, l.yamlTags = bounds, append(l.yamlTags, "!!int", "!!float") // for a better message
	l.jsonShape["pattern"] = durationForm
	return l
}

// boolField is true or false.
func boolField[S any](name string, at func(*S) *bool) *scalarField[S, bool] {
	l := newScalarField(name, "true or false", "true or false", at, func(s string) (bool, error) {
		switch s {
		case "true", "True", "TRUE":
			return true, nil
		case "false", "False", "FALSE":
			return false, nil
		}
		return false, fmt.Errorf("%s is neither true nor false", quoteShort(s))
	}, strconv.FormatBool)
	l.yamlTags, l.jsonShape = []string{"!!bool"}, map[string]any{"type": "boolean"}
	return l.withDefault(false)
}

// namedValue is a value by its name.
type namedValue[T comparable] struct {
	name  string
	value T
}

// enumField takes a name of some; the first is the default.
func enumField[S any, T comparable](name string, at func(*S) *T, values ...namedValue[T]) *scalarField[S, T] {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.name
	}
	l := newScalarField(name, "one of", orList(all), at, func(s string) (zero T, err error) {
		for _, v := range values {
			if v.name == s {
				return v.value, nil
			}
		}
		return zero, fmt.Errorf("%s is none of %s%s", quoteShort(s), orList(all), didYouMean(s, all))
	}, func(v T) string {
		for _, n := range values {
			if n.value == v {
				return n.name
			}
		}
		return ""
	})
	l.values, l.jsonShape = all, map[string]any{"enum": all}
	return l.withDefault(values[0].value)
}

// selfNamed are names that stand for themselves.
func selfNamed[T ~string](values ...T) []namedValue[T] {
	out := make([]namedValue[T], len(values))
	for i, v := range values {
		out[i] = namedValue[T]{string(v), v}
	}
	return out
}

func didYouMean(word string, valid []string) string {
	if near := commandline.Nearest(word, valid); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// startField is where a new group starts.
func startField[S any](name string, at func(*S) *bus.Start) *scalarField[S, bus.Start] {
	l := newScalarField(name, "`earliest`, `latest` or a time", "earliest, latest or a time such as 2026-01-31T15:04:05Z", at, parseStart, func(s bus.Start) string {
		switch {
		case s.Latest:
			return "latest"
		case s.Time.IsZero():
			return "earliest"
		}
		return s.Time.Format(time.RFC3339Nano)
	})
	l.yamlTags = []string{"!!str", "!!timestamp"}
	l.jsonShape["pattern"] = `^(earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2}))$`
	return l.withDefault(bus.Start{})
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
			quoteShort(s), didYouMean(s, []string{"earliest", "latest"}))
	}
	return bus.Start{Time: at}, nil
}
