package explain_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/explain"
)

// late is a store by whose clock events were claimed later than they were.
type late struct {
	dedupe.Inspector

	by time.Duration
}

func (l late) Inspect(ctx context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	entries, err := l.Inspector.Inspect(ctx, keys)
	for i := range entries {
		entries[i].Age = max(0, entries[i].Age-l.by)
	}
	return entries, err
}

// An attempt comes after its claim, whatever the store's clock says, and before a later redrive.
func TestAttemptsComeAfterTheirClaim(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(givesUp)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		tell := func() *explain.Story {
			s := h.sources()
			s.Marks = late{h.store, 10 * time.Second}
			story, err := s.Story(h.t.Context(), explain.Query{Topic: topic, ID: "1"})
			must(t, err)
			return story
		}
		h.stands(tell(), explain.Dead, "", "published", "claimed", "failed", "dead-lettered", "dead")
		for l, err := range h.topic.List(h.t.Context(), deadletter.Filter{}, bus.Position{}) {
			must(t, err)
			for _, err := range h.topic.Redrive(h.t.Context(), h.store, "", l) {
				must(t, err)
			}
		}
		h.settle(time.Minute)
		story := tell()
		h.stands(story, explain.Dead, "", "published", "failed", "redriven", "claimed", "failed", "dead-lettered", "dead")
		if l := story.Timeline[3]; l.Text != "claimed for the first time since it was redriven" {
			t.Errorf("claimed: %+v", l)
		}
	})
}
