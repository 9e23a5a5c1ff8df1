package deadletter

import (
	"context"

	"github.com/onceish/onceish/bus"
)

// Preview is what a bulk change would change.
type Preview struct {
	// Selected is how many letters there are, Skipped how many events were passed over that are no
	// letters, or have lost a part.
	Selected, Skipped int
	// Last is where the last letter that was counted lies. Zero: there is none.
	Last bus.Position
	// First are the first five letters, with their edits found.
	First []Letter
}

// previewed is how many letters a preview has.
const previewed = 5

// Preview counts the letters that a filter selects, up to a limit; zero is all of them. It blocks
// and retries as List does.
func (t *Topic) Preview(ctx context.Context, f Filter, limit int) (p Preview, err error) {
	for l, err := range t.List(ctx, f, bus.Position{}) {
		switch {
		case err != nil && PassesOver(err):
			p.Skipped++
			continue
		case err != nil:
			return p, err
		}
		p.Last = l.Position
		if p.Selected++; p.Selected <= previewed {
			p.First = append(p.First, l)
		}
		if p.Selected == limit {
			break
		}
	}
	return p, t.FindEdits(ctx, p.First)
}
