package deadletter

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Cause is what letters have in common.
type Cause struct {
	// Error is the first line of the letters' errors, cut to 200 bytes; where there is none, of
	// their reasons.
	Error string
	// Letters is how many there are.
	Letters int
	// First and Last are when the first and the last of them were given up.
	First, Last time.Time
	// Latest is the one that was stored last.
	Latest Letter
}

// maxCause bounds Cause.Error, in bytes.
const maxCause = 200

// CountByError counts the letters that a filter selects by their errors, the most frequent first.
// It reads all of them. Events that are no letters, and letters that have lost parts, are left out
// and counted in skipped.
func (t *Topic) CountByError(ctx context.Context, f Filter) (causes []Cause, skipped int, err error) {
	byError := map[string]*Cause{}
	for l, err := range t.List(ctx, f, bus.Position{}) {
		switch {
		case errors.Is(err, consumer.ErrNotLetter), errors.Is(err, consumer.ErrLetterPart):
			skipped++
			continue
		case err != nil:
			return nil, skipped, err
		}
		text, _, _ := strings.Cut(cmp.Or(l.Error, l.Reason), "\n")
		text = dedupe.TrimReason(text, maxCause)
		c := byError[text]
		if c == nil {
			c = &Cause{Error: text, First: l.Died, Last: l.Died}
			byError[text] = c
		}
		c.Letters, c.Latest = c.Letters+1, l
		if l.Died.Before(c.First) {
			c.First = l.Died
		}
		if l.Died.After(c.Last) {
			c.Last = l.Died
		}
	}
	for _, c := range byError {
		causes = append(causes, *c)
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Error, b.Error))
	})
	return causes, skipped, nil
}
