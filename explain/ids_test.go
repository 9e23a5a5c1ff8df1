package explain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/explain"
)

// byData is the Options.ID of a group whose ids are the data of its events.
func byData(e bus.Event) string { return strings.Trim(string(e.Data), "{}") }

// What a group keeps under ids of its own is found if they are known, and otherwise said to be
// missing, for that.
func TestMarksUnderIDsOfTheGroupAreFound(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.id = byData
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		h.publish(again(order("1"), "fix-a"))
		h.settle(time.Second)
		h.will(givesUp)
		h.publish(order("2"))
		h.settle(time.Second)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "handled at about ", "published", "claimed", "handled", "replayed", "claimed", "handled")
		h.othersStand(story, "fix-a: done")
		h.id = nil
		story = h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Settled, "", "published", "replayed")
		h.misses(story.Missing, "if the group has ids of its own")
		h.stands(h.story(explain.Query{ID: "2"}), explain.Dead, "dead-lettered at ", "published", "claimed", "failed", "dead-lettered", "dead")
	})
}

// An event that has no id in its group is dead, with its letter.
func TestEventWithoutAnIDInItsGroupIsDead(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.id = func(bus.Event) string { return "" }
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Dead, "dead-lettered at ", "published", "claimed", "dead-lettered", "dead")
	})
}

func TestLagLooksUpIDsOfTheGroup(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"), order("2"))
		one := order("1")
		_, err := h.store.Mark(h.t.Context(), []dedupe.Mark{{Key: dedupe.Key{Topic: topic, Group: "billing", ID: byData(one)}, State: dedupe.Done, TTL: time.Hour}})
		must(t, err)
		s := h.sources()
		c := s.Group.Cursors[0]
		c.Delivered = 1
		l, err := s.Lag(h.t.Context(), c)
		must(t, err)
		h.waits(l, "1", explain.ForUnknown, "")
		h.misses(l.Missing, "if the group has ids of its own")
		c.ID = byData
		l, err = s.Lag(h.t.Context(), c)
		must(t, err)
		h.waits(l, "2", explain.ForDelivery, "it is the next one")
		if len(l.Missing) > 0 {
			t.Errorf("missing: %q", l.Missing)
		}
	})
}

// Another event's row under the event's own id says nothing of where the event lies.
func TestRowOfAnotherEventUnderTheIDIsNotTaken(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.id = byData
		h.subscribe()
		b := bus.Event{ID: "b", Topic: topic, Data: []byte("c")}
		h.publish(b)
		h.settle(time.Second)
		h.will(givesUp)
		h.publish(bus.Event{ID: "a", Topic: topic, Data: []byte("b")}, b.WithControl(bus.Control{Copy: "1"}))
		h.settle(time.Second)
		h.stands(h.story(explain.Query{ID: "b"}), explain.Done, "handled", "published", "claimed", "handled", "copied")
	})
}

// A mark is that of the event, whatever the layout of its topic.
func TestLagLooksUpEventsOfPartitions(t *testing.T) {
	inBubble(t, func(h *harness) {
		partition := bus.Partition{Topic: topic, Of: 8, Number: 3}.Name()
		first, second := order("1"), order("2")
		first.Topic, second.Topic = partition, partition+".k"
		h.publish(first, second)
		_, err := h.store.Mark(h.t.Context(), []dedupe.Mark{{Key: dedupe.Key{Topic: topic, Group: "billing", ID: "1"}, State: dedupe.Done, TTL: time.Hour}})
		must(t, err)
		s := h.sources()
		c := s.Group.Cursors[0]
		c.Topic, c.Floor, c.Delivered, c.Unsettled, c.Pending = partition, 0, 1, 1, 1
		l, err := s.Lag(h.t.Context(), c)
		must(t, err)
		if l.Oldest == nil || l.Oldest.ID != "2" {
			t.Errorf("the oldest unsettled event is %+v; want 2, for 1 is done", l.Oldest)
		}
	})
}
