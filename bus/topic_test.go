package bus_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a.b", false},
		{"a.b", "a", false},
		{"a.b", "a.b", true},
		{"*", "a", true},
		{"*", "a.b", false},
		{"*.b", "a.b", true},
		{"a.*", "a", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "b.c", false},
		{"*.>", "a", false},
		// A pattern covers another when it matches all that the other does.
		{">", ">", true},
		{">", "*", true},
		{"a.>", "a.>", true},
		{"a.>", "a.*", true},
		{"a.>", ">", false},
		{"*", "*", true},
		{"*", ">", false},
		{"a", "*", false},
		{"a.*", "a.>", false},
	} {
		if got := bus.Match(c.pattern, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v; want %v", c.pattern, c.topic, got, c.want)
		}
	}
}

func TestValidTopicAndPattern(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]struct{ topic, pattern string }{
		"a":          {},
		"a.b-c_d.$E": {},
		"ü.日本":       {},
		"a*.b>":      {}, // wildcards are whole tokens
		"":           {"empty", "empty"},
		".":          {"begins with a dot", "begins with a dot"},
		"a.":         {"ends with a dot", "ends with a dot"},
		".a":         {"begins with a dot", "begins with a dot"},
		"a..b":       {"empty token", "empty token"},
		"a b":        {"space", "space"},
		"a\tb":       {"space", "space"},
		"a\r\nb":     {"space", "space"},
		"a\x00":      {"space", "space"},
		"a\x7f":      {"space", "space"},
		"a\xff":      {"space", "space"},
		">.a":        {"'>' before its end", "'>' before its end"},
		"*":          {"wildcard", ""},
		"a.*.b":      {"wildcard", ""},
		"a.of8.*":    {"covers no partition", "end it with"},
		"a.of8.*.*":  {"wildcard", ""},
		"a.of0.*":    {"wildcard", ""},
		">":          {"wildcard", ""},
		"a.>":        {"wildcard", ""},
	} {
		tells(t, "ValidTopic", topic, bus.ValidTopic(topic), want.topic)
		tells(t, "ValidPattern", topic, bus.ValidPattern(topic), want.pattern)
	}
}

// tells wants err to contain the text, or to be nil if that is empty.
func tells(t *testing.T, what, topic string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s(%q) = %v; want %q", what, topic, err, want)
	}
}

// matches is Match by plain recursion over tokens.
func matches(pattern, topic []string) bool {
	switch {
	case len(pattern) == 0 || len(topic) == 0:
		return len(pattern) == len(topic)
	case pattern[0] == ">":
		return true
	}
	return (pattern[0] == "*" || pattern[0] == topic[0]) && matches(pattern[1:], topic[1:])
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"a.*", "a.b"}, {">", "a"}, {"a.>", "a.b.c"}, {"*.*", "a"}, {"a", "a."}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, topic string) {
		if bus.ValidPattern(pattern) != nil || bus.ValidTopic(topic) != nil {
			return
		}
		if got, want := bus.Match(pattern, topic), matches(strings.Split(pattern, "."), strings.Split(topic, ".")); got != want {
			t.Errorf("Match(%q, %q) = %v; want %v", pattern, topic, got, want)
		}
		if !bus.Match(pattern, pattern) || !bus.Match(topic, topic) || !bus.Match(">", pattern) {
			t.Errorf("%q and %q must match themselves, and '>' both", pattern, topic)
		}
	})
}
