package dedupe_test

import (
	"strings"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func TestTrimReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 4, ""},
		{"abcd", 4, "abcd"},
		{"abcde", 4, "abcd"},
		{"abcé", 4, "abc"},
		{"ab💥", 5, "ab"},
		{"ab💥", 6, "ab💥"},
		{"é", 1, ""},
		{"é", 0, ""},
		{"\x80\x80\x80\x80\x80\x80\x80", 6, "\x80\x80"},
		{strings.Repeat("x", 4097), dedupe.MaxReason, strings.Repeat("x", 4096)},
		{strings.Repeat("x", 4095) + "é", dedupe.MaxReason, strings.Repeat("x", 4095)},
	} {
		if got := dedupe.TrimReason(c.in, c.limit); got != c.want {
			t.Errorf("%q to %d bytes: %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}
