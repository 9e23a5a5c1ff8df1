package dedupe_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/dedupe"
)

// TestAppendAttemptLeavesTheHistoryBefore: two who append to one history do not share memory.
func TestAppendAttemptLeavesTheHistoryBefore(t *testing.T) {
	t.Parallel()
	before := make([]dedupe.Attempt, 1, 5)
	a := dedupe.AppendAttempt(before, &dedupe.Attempt{Number: 2})
	b := dedupe.AppendAttempt(before, &dedupe.Attempt{Number: 3})
	if len(before) != 1 || a[1].Number != 2 || b[1].Number != 3 {
		t.Errorf("appended 2 and 3 to %v: %v and %v", before, a, b)
	}
	if got := dedupe.AppendAttempt(a, nil); len(got) != 2 {
		t.Errorf("appended nothing: %v", got)
	}
}

func TestAppendAttemptKeepsTheLast(t *testing.T) {
	t.Parallel()
	var history []dedupe.Attempt
	for n := range 25 {
		history = dedupe.AppendAttempt(history, &dedupe.Attempt{Number: n})
		if last := history[len(history)-1].Number; last != n || len(history) != min(n+1, dedupe.MaxHistory) {
			t.Fatalf("after attempt %d: %d are kept, the last is %d", n, len(history), last)
		}
	}
}

func TestAttemptIsKeptAlike(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		text = strings.Repeat(text, rapid.IntRange(1, 500).Draw(t, "times"))
		zone := time.FixedZone("", rapid.IntRange(-50_000, 50_000).Draw(t, "zone"))
		a := dedupe.Attempt{Error: text, Process: text, Ended: time.Unix(0, rapid.Int64().Draw(t, "ended")).In(zone)}
		kept := a.Kept()
		if len(kept.Error) > dedupe.MaxAttemptError || len(kept.Process) > dedupe.MaxAttemptProcess {
			t.Fatalf("%d and %d bytes of text are kept", len(kept.Error), len(kept.Process))
		}
		if !utf8.ValidString(kept.Error) || !utf8.ValidString(kept.Process) {
			t.Fatalf("kept as %q", kept.Error)
		}
		if utf8.ValidString(text) && !strings.HasPrefix(text, kept.Error) {
			t.Fatalf("%q is kept as %q", text, kept.Error)
		}
		if again := kept.Kept(); again != kept {
			t.Fatalf("%+v is kept as %+v", kept, again)
		}
	})
}
