package bus_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
)

func tokens(wildcards bool) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		words := []string{"a", "b"}
		if wildcards {
			words = append(words, "*")
		}
		out := rapid.SliceOfN(rapid.SampledFrom(words), 1, 4).Draw(t, "tokens")
		if wildcards && rapid.Bool().Draw(t, "tail") {
			out = append(out, ">")
		}
		return strings.Join(out, ".")
	})
}

// witness is a topic that both match, if one is made of a and b alone.
func witness(a, b string) bool {
	topics := []string{"a", "b"}
	for from := 0; len(topics) < 126; from++ { // all of up to 6 tokens
		topics = append(topics, topics[from]+".a", topics[from]+".b")
	}
	for _, topic := range topics {
		if bus.Match(a, topic) && bus.Match(b, topic) {
			return true
		}
	}
	return false
}

func TestOverlapIsThatATopicMatchesBoth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := tokens(true).Draw(t, "a"), tokens(true).Draw(t, "b")
		if got, want := bus.Overlap(a, b), witness(a, b); got != want || bus.Overlap(b, a) != want {
			t.Fatalf("Overlap(%q, %q) = %v, the other way round %v; want %v", a, b, got, bus.Overlap(b, a), want)
		}
	})
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a.*", "*.b", true},
		{"a.*", "a", false},
		{"a.>", "a", false},
		{"a.>", "*.b.c", true},
		{">", "x.y", true},
		{"a.b", "a.b.c", false},
		{"a.*.c", "a.b.>", true},
		{"a.*.c", "b.>", false},
	} {
		if bus.Overlap(tt.a, tt.b) != tt.want || bus.Overlap(tt.b, tt.a) != tt.want {
			t.Errorf("Overlap(%q, %q) is not %v both ways", tt.a, tt.b, tt.want)
		}
	}
}
