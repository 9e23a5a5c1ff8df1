package explain_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
)

// lag wants the group to be behind by so many events.
func (h *harness) lag(behind uint64) *explain.Lag {
	h.t.Helper()
	s := h.sources()
	l, err := s.Lag(h.t.Context(), s.Group.Cursors[0])
	must(h.t, err)
	if l.Pending+l.Unsettled != behind {
		h.t.Errorf("%d events behind; want %d", l.Pending+l.Unsettled, behind)
	}
	return l
}

// waits wants the oldest event to be this one, and to wait for something.
func (h *harness) waits(l *explain.Lag, id, waitsFor, text string) {
	h.t.Helper()
	if l.Oldest == nil || l.Oldest.ID != id || len(l.Waits) == 0 || l.Waits[0].For != waitsFor || !strings.Contains(l.Waits[0].Text, text) {
		h.t.Errorf("%+v waits for %+v; want %q, %q, %q", l.Oldest, l.Waits, id, waitsFor, text)
	}
}

func TestGroupThatIsNotBehindWaitsForNothing(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		if l := h.lag(0); l.Oldest != nil || l.SecondsBehind != 0 || len(l.Waits) > 0 {
			t.Errorf("%+v", l)
		}
	})
}

// The oldest event that is not settled is found behind others that are done, and not acked yet.
func TestLagNamesTheOldestUnsettledEvent(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(func(ctx context.Context, e bus.Event) error {
			if e.ID == "2" {
				return fails(ctx, e)
			}
			return nil
		})
		h.subscribe()
		h.publish(order("1"), order("2"), order("3"))
		h.settle(100 * time.Millisecond)
		l := h.lag(1)
		h.waits(l, "2", explain.ForAttempt, "attempt 2 is due")
		if l.SecondsBehind < 0.09 || l.SecondsBehind > 2 || l.Oldest.Sequence != 2 {
			t.Errorf("%+v", l)
		}
	})
}

// An event that is done, and whose ack the bus has not counted yet, is none that is waited for.
func TestLagPassesOverWhatIsDone(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"), order("2"), order("3"))
		var marks []dedupe.Mark
		for id, state := range map[string]dedupe.State{"1": dedupe.Done, "2": dedupe.Dead} {
			marks = append(marks, dedupe.Mark{Key: dedupe.Key{Topic: topic, Group: "billing", ID: id}, State: state, TTL: time.Hour})
		}
		errs, err := h.store.Mark(h.t.Context(), marks)
		must(t, errors.Join(append(errs, err)...))
		h.waits(h.lag(3), "3", explain.ForDelivery, "")
		s := h.sources()
		s.Marks = uniform{Phase: dedupe.PhaseDone}
		l, err := s.Lag(h.t.Context(), s.Group.Cursors[0])
		must(t, err)
		if l.Oldest != nil {
			t.Errorf("found %+v", l.Oldest)
		}
		h.misses(l.Missing, "they have only to be acked")
	})
}

func TestLagSaysWhyNothingRuns(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		h.waits(h.lag(1), "1", explain.ForDelivery, "it is the next one")
		for want, sub := range map[string]group.Subscription{
			"is unavailable: the receiver, since noon": {Topic: "order.*", State: "unavailable", Why: "the receiver, since noon"},
			"was busy when it last reported: it ran 2": {Topic: "order.*", State: "running", Concurrency: 2, InFlight: 2},
		} {
			h.joined(sub)
			h.waits(h.lag(1), "1", explain.ForProcess, "host:17 "+want)
		}
		h.joined(group.Subscription{Topic: "invoice.sent", State: "running"})
		h.waits(h.lag(1), "1", explain.ForMember, "no process of the group runs that is subscribed to order.*")
		h.group.Pauses = []group.Paused{{Topic: "order.*", Since: time.Now(), Until: time.Now().Add(time.Minute)}}
		l := h.lag(1)
		h.waits(l, "1", explain.ForResume, "the group is paused")
		if s := l.Waits[0].Seconds; s < 59 || s > 60 {
			t.Errorf("paused for another %v s", s)
		}
	})
}

func TestLagNamesTheRunThatHoldsItUp(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(hangs)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		h.waits(h.lag(1), "1", explain.ForRun, "attempt 1 runs, or is about to")
	})
}

// A later event of an order key names the earlier one that it waits for.
func TestEventOfAKeyNamesTheEarlierOne(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(fails)
		h.subscribe()
		first, second := order("1"), order("2")
		first.Key, second.Key = "customer", "customer"
		h.publish(first, second, order("3"))
		story := h.story(explain.Query{ID: "2"})
		h.stands(story, explain.Pending, "an earlier event of its key is not settled: \"1\" at sequence 1", "published")
		if w := story.Waits[0]; w.For != explain.ForKey || w.Event == nil || w.Event.ID != "1" || w.Event.Sequence != 1 {
			t.Errorf("it waits for %+v", w)
		}
	})
}

// Copies for another group are passed over: this one acknowledges them unrun.
func TestLagPassesOverCopiesForOtherGroups(t *testing.T) {
	inBubble(t, func(h *harness) {
		e := order("1")
		h.publish(e.WithControl(bus.Control{Group: "shipping", Copy: "1"}), order("2"))
		h.waits(h.lag(2), "2", explain.ForDelivery, "up to 1 events")
	})
}

// The search is bounded, and says that it gave up.
func TestLagGivesUpItsSearch(t *testing.T) {
	inBubble(t, func(h *harness) {
		events := make([]bus.Event, 10_001)
		for i := range events {
			e := order(strconv.Itoa(i))
			events[i] = e.WithControl(bus.Control{Group: "shipping", Copy: "1"})
		}
		h.publish(events...)
		h.publish(order("x"))
		l := h.lag(10_002)
		if l.Oldest != nil {
			t.Errorf("found %+v", l.Oldest)
		}
		h.misses(l.Missing, "the first 10000 behind the floor are settled, and no more were looked at")
		var read []int
		h.stands(h.story(explain.Query{ID: "x", Progress: func(events int) { read = append(read, events) }}), explain.Pending, "", "published")
		if !slices.Equal(read, []int{10_000}) {
			t.Errorf("progress: %d", read)
		}
	})
}

// A floor beyond the end of a stream that was restored is said, and is no error.
func TestLagOfARestoredStreamIsNotKnown(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		s := h.sources()
		c := s.Group.Cursors[0]
		c.Floor = 17
		l, err := s.Lag(h.t.Context(), c)
		must(t, err)
		h.misses(l.Missing, "the stream was restored, and ends before the group's floor")
	})
}

// What a row says of its event is what the event waits for, whatever else holds the group back.
func TestRowsSayWhatTheirEventsWaitFor(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		claims, err := h.store.Claim(h.t.Context(), []dedupe.Request{{Key: dedupe.Key{Topic: topic, Group: "billing", ID: "1"}, Nonce: "a", Lease: time.Minute, TTL: time.Hour}})
		must(t, err)
		h.waits(h.lag(1), "1", explain.ForRun, "its lease ends in 1m0s")
		h.settle(2 * time.Minute)
		h.waits(h.lag(1), "1", explain.ForLease, "is over: the next delivery takes the event over")
		h.stands(h.story(explain.Query{ID: "1"}), explain.Pending, "takes the event over", "published", "claimed")
		errs, err := h.store.Settle(h.t.Context(), []dedupe.Settlement{{Claim: claims[0], Outcome: dedupe.GivenUp, Reason: "no such customer", Letter: "l", Lease: time.Minute, TTL: time.Hour}})
		must(t, errors.Join(append(errs, err)...))
		h.waits(h.lag(1), "1", explain.ForLetter, "no such customer")
		h.stands(h.story(explain.Query{ID: "1"}), explain.DeadLettering, "its dead letter is not stored yet", "published", "claimed", "given up")
	})
}

// uniform is a store that keeps the same of each key.
type uniform dedupe.Entry

func (u uniform) Inspect(_ context.Context, keys []dedupe.Key) ([]dedupe.Entry, error) {
	return slices.Repeat([]dedupe.Entry{dedupe.Entry(u)}, len(keys)), nil
}

// The process that holds a claim is named, also if it is none of the group any more.
func TestHolderOfAClaimIsNamed(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		h.joined(group.Subscription{Topic: "order.*", State: "running", Owner: "A-"})
		for owner, want := range map[string][2]string{
			"A-1": {"host:17", "in host:17; its lease ends in 5s"}, "B-1": {"", "in a process that is no member of the group any more"}, "": {"", "in a process that is not known"},
		} {
			s := h.sources()
			s.Marks = uniform{Phase: dedupe.PhaseClaimed, Owner: owner, HeldFor: 5 * time.Second}
			l, err := s.Lag(h.t.Context(), s.Group.Cursors[0])
			must(t, err)
			h.waits(l, "1", explain.ForRun, want[1])
			if l.Waits[0].Process != want[0] {
				t.Errorf("%q: process %q", owner, l.Waits[0].Process)
			}
		}
	})
}

func TestRowOfALaterVersionIsSaidToBeUnreadable(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		s := h.sources()
		s.Marks = uniform{Err: errors.New("a row of a later version")}
		story, err := s.Story(h.t.Context(), explain.Query{Topic: topic, ID: "1"})
		must(t, err)
		h.stands(story, explain.Unreadable, "use the version that its workers have", "published")
		h.misses(story.Missing, "a row of a later version")
	})
}
