package explain_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/explain"
)

// again is a copy of an event that the group runs a second time in a scope.
func again(e bus.Event, scope string) bus.Event {
	return e.WithControl(bus.Control{Group: "billing", Again: scope, Copy: scope})
}

// othersStand wants the story to have the event in these states in other scopes than its own.
func (h *harness) othersStand(story *explain.Story, want ...string) {
	h.t.Helper()
	var got []string
	for _, o := range story.Others {
		got = append(got, o.Scope+": "+string(o.State))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		h.t.Errorf("other scopes: %q; want %q", got, want)
	}
}

// What runs a second time on purpose has its own row in each scope, and its own part of the story.
func TestEventStandsInEachScopeByItself(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		h.publish(again(order("1"), "fix-a"))
		h.settle(time.Second)
		h.will(fails)
		h.publish(again(order("1"), "fix-b"))
		h.settle(100 * time.Millisecond)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "; in the scope fix-a: done; in the scope fix-b: retrying",
			"published", "claimed", "handled", "replayed", "claimed", "handled", "replayed", "claimed", "failed")
		h.othersStand(story, "fix-a: done", "fix-b: retrying")
		b := story.Others[1]
		if b.Attempts != 1 || b.Until == nil || len(b.Waits) == 0 || b.Waits[0].For != explain.ForAttempt || !strings.Contains(b.Summary, "in the scope fix-b: retrying: attempt 2 is due") {
			t.Errorf("fix-b: %+v", b)
		}
		for i, scope := range []string{"", "", "", "fix-a", "fix-a", "fix-a", "fix-b", "fix-b", "fix-b"} {
			if l := &story.Timeline[i]; l.Scope != scope || scope != "" && !strings.Contains(l.Text, " in the scope "+scope) {
				t.Errorf("line %d, in the scope %q: %+v", i, scope, l)
			}
		}

		story = h.story(explain.Query{Sequence: 2}) // which is where the topic is read from
		if story.Scope != "fix-a" || story.State != explain.Done || !strings.HasSuffix(story.Summary, "; the first time: done; in the scope fix-b: retrying") {
			t.Errorf("sequence 2 stands in %q as %q: %s", story.Scope, story.State, story.Summary)
		}
		h.othersStand(story, ": done", "fix-b: retrying")
	})
}

// A letter of a scope is that of the scope alone.
func TestLetterOfAScopeIsNotThatOfTheFirstTime(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		h.will(givesUp)
		h.publish(again(order("1"), "fix-a"))
		h.settle(time.Minute)
		story := h.story(explain.Query{ID: "1"})
		if story.State != explain.Done || story.Letter != "" {
			t.Errorf("%q, letter %q", story.State, story.Letter)
		}
		h.othersStand(story, "fix-a: dead")
		letter := story.Others[0].Letter
		for _, q := range []explain.Query{{Letter: letter}, {Sequence: 2}} {
			story := h.story(q)
			if story.Scope != "fix-a" || story.State != explain.Dead || story.Letter != letter || letter == "" {
				t.Errorf("%+v: %q in %q, letter %q", q, story.State, story.Scope, story.Letter)
			}
			h.othersStand(story, ": done")
		}
	})
}

// An event whose first copy and mark are gone is known by its scope.
func TestEventIsFoundThatIsKnownInAScopeAlone(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(again(order("1"), "fix-a"))
		h.settle(time.Second)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "in the scope fix-a: handled at about ", "replayed", "claimed", "handled")
		h.othersStand(story)
	})
}

// The mark of the first time does not settle a copy that runs again, nor does that of the scope the
// first time.
func TestLagLooksUpWhatRunsAgainInItsScope(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"), again(order("1"), "fix-a"), order("2"))
		done := func(scope string) {
			key := dedupe.Key{Topic: topic, Group: "billing", ID: "1", Scope: dedupe.AgainScope(scope)}
			_, err := h.store.Mark(context.Background(), []dedupe.Mark{{Key: key, State: dedupe.Done, TTL: time.Hour}})
			must(t, err)
		}
		done("")
		l := h.lag(3)
		h.waits(l, "1", explain.ForDelivery, "")
		if l.Oldest.Sequence != 2 {
			t.Errorf("the oldest is %+v", l.Oldest)
		}
		done("fix-a")
		h.waits(h.lag(3), "2", explain.ForDelivery, "")
	})
}

// An event that the stream has for other groups alone is none of this one.
func TestEventOfOtherGroupsIsNotFound(t *testing.T) {
	inBubble(t, func(h *harness) {
		e := order("1")
		h.publish(e.WithControl(bus.Control{Group: "shipping", Again: "fix-a", Copy: "1"}))
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.NotFound, "all copies of it that the stream has are for other groups", "replayed")
		if text := story.Timeline[0].Text; !strings.Contains(text, "replayed for group shipping in the scope fix-a, which this group acknowledges unrun") {
			t.Error(text)
		}
	})
}
