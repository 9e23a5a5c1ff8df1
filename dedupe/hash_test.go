package dedupe_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// TestHashesOfDifferentAlgorithmsAreNotCompared: only hashes that were computed alike tell
// payloads apart.
func TestHashesOfDifferentAlgorithmsAreNotCompared(t *testing.T) {
	t.Parallel()
	one, two := []byte("1234567890123456"), []byte("6543210987654321")
	for _, c := range []struct {
		a, b []byte
		want bool
	}{
		{dedupe.NewHash("bytes", one), dedupe.NewHash("bytes", one), false},
		{dedupe.NewHash("bytes", one), dedupe.NewHash("bytes", two), true},
		{dedupe.NewHash("bytes", one), dedupe.NewHash("json", two), false},
		{dedupe.NewHash("mine-v1", one), dedupe.NewHash("mine-v2", two), false},
		{dedupe.NewHash("bytes", one), two, false},
		{one, two, true},
		{one, one, false},
		{nil, two, false},
		{dedupe.NewHash("bytes", one), []byte{}, false},
		{dedupe.NewHash(strings.Repeat("a", 33), one), dedupe.NewHash(strings.Repeat("b", 33), one), true}, // no names
		{[]byte(":a"), []byte("B:a"), true},
	} {
		if got := dedupe.Differ(c.a, c.b); got != c.want {
			t.Errorf("%q and %q differ: %t, want %t", c.a, c.b, got, c.want)
		}
		if got := dedupe.Differ(c.b, c.a); got != c.want {
			t.Errorf("%q and %q differ: %t, want %t", c.b, c.a, got, c.want)
		}
	}
	for name, want := range map[string]bool{"": false, "bytes": true, "mine.v2_a-b": true, "Mine": false, "a:b": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false} {
		if dedupe.ValidAlgorithm(name) != want {
			t.Errorf("the name %q is valid: %t", name, !want)
		}
	}
}
