package dedupetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// TestWalks has rapid choose the walk, and shorten one that fails.
func TestWalks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Unix(0, 0)
		s, err := memdedupe.New(&memdedupe.Options{Now: func() time.Time { return now }})
		if err != nil {
			rt.Fatal(err)
		}
		h := Harness{
			Wait: func(_ *testing.T, d time.Duration) { now = now.Add(d) },
		}.withDefaults()
		k := &kit{h: &h, s: Subject{Store: s}}
		k.bind()
		i := 0
		w := newWalker(t, k, "", func(n int) int {
			i++
			return rapid.IntRange(0, n-1).Draw(rt, fmt.Sprintf("choice %d", i))
		})
		if err := w.walk(t.Context(), rapid.IntRange(1, 40).Draw(rt, "steps")); err != nil {
			rt.Fatalf("%v\n%s", err, strings.Join(w.trace, "\n"))
		}
	})
}
