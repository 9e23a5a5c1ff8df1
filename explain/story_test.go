package explain_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
)

// Nothing is known of an event that never was, whatever its id looks like.
func TestUnknownEventsAreNotFound(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		for _, id := range []string{"17", "{", "{}17", "\x1b[2J", "\xff\xfe", strings.Repeat("long", 2500)} {
			story := h.story(explain.Query{ID: id})
			h.stands(story, explain.NotFound, "nothing is known of this event: it was never stored on order.placed")
			h.misses(story.Missing, "the stream has no event of this id")
		}
	})
}

func TestTopicOfAnotherGroupIsNotSubscribed(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(bus.Event{ID: "1", Topic: "invoice.sent"})
		h.stands(h.story(explain.Query{Topic: "invoice.sent", ID: "1"}), explain.NotSubscribed, "does not consume invoice.sent: it is subscribed to order.*", "published")
	})
}

func TestPendingEventNamesWhatItWaitsFor(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"), order("2"), order("3"))
		story := h.story(explain.Query{ID: "3"})
		h.stands(story, explain.Pending, "it was not delivered yet: up to 2 events come before it", "published")
		l := story.Timeline[0]
		if l.Sequence != 3 || l.Bytes != len(order("3").Data) || !strings.Contains(l.Text, "source onceish, type placed") || l.Time.IsZero() {
			t.Errorf("published: %+v", l)
		}
		h.group.Members = nil
		h.stands(h.story(explain.Query{ID: "3"}), explain.Pending, "no process of the group runs", "published")
		h.group.Pauses = []group.Paused{{Reason: "maintenance", Since: time.Now()}}
		h.stands(h.story(explain.Query{ID: "3"}), explain.Pending, "the group is paused", "published")
	})
}

func TestRunningEventHasALease(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(hangs)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Running, "attempt 1 runs, or is about to, in a process that is not known", "published", "claimed")
		if w := story.Waits[0]; w.For != explain.ForRun || w.Seconds <= 0 || w.Seconds > 30 {
			t.Errorf("it waits for %+v", w)
		}
	})
}

func TestFailedEventWaitsForItsNextAttempt(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(fails)
		h.subscribe()
		h.publish(order("1"))
		h.settle(100 * time.Millisecond)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Retrying, "retrying: attempt 2 is due", "published", "claimed", "failed")
		if w := story.Waits[0]; w.For != explain.ForAttempt || w.Seconds < 0 || !strings.Contains(w.Text, errBroken.Error()) {
			t.Errorf("it waits for %+v", w)
		}
		if a := story.Timeline[2]; a.Attempt != 1 || a.Error != errBroken.Error() || a.Sequence != 1 || a.Token == 0 {
			t.Errorf("the attempt is %+v", a)
		}
	})
}

func TestHandledEventSaysWhenAndHowLongItsMarkIsKept(t *testing.T) {
	inBubble(t, func(h *harness) {
		failures := 2
		h.will(func(context.Context, bus.Event) error {
			if failures--; failures >= 0 {
				return errBroken
			}
			return nil
		})
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Hour)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "handled at about ", "published", "claimed", "failed", "failed", "handled")
		handled := story.Timeline[4]
		if d := handled.Until.Sub(handled.Time); d < ttl || d > ttl+time.Second || time.Since(handled.Time) < 50*time.Minute {
			t.Errorf("handled at %v, kept until %v", handled.Time, handled.Until)
		}
		h.group.Members = nil
		h.stands(h.story(explain.Query{ID: "1"}), explain.Done, "when it was handled is not known, because no process runs", "published", "claimed", "failed", "failed", "handled")
	})
}

func TestHandledEventIsSettledWhenItsMarkHasExpired(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		h.settle(ttl + time.Hour)
		h.stands(h.story(explain.Query{ID: "1"}), explain.Settled, "its mark has expired", "published")
	})
}

func TestDeadEventHasItsLetter(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(givesUp)
		h.subscribe()
		h.publish(order("1"), order("2"))
		h.settle(time.Minute)
		story := h.story(explain.Query{ID: "2"})
		h.stands(story, explain.Dead, "dead-lettered at ", "published", "claimed", "failed", "dead-lettered", "dead")
		if story.Letter == "" || !strings.Contains(story.Summary, story.Letter) || !strings.Contains(story.Summary, errBroken.Error()) {
			t.Errorf("letter %q: %s", story.Letter, story.Summary)
		}
		if by := h.story(explain.Query{Letter: story.Letter}); by.ID != "2" || by.State != explain.Dead {
			t.Errorf("by its letter it is %q, %s", by.ID, by.State)
		}
		h.settle(ttl + time.Hour)
		h.stands(h.story(explain.Query{ID: "2"}), explain.Dead, "dead-lettered at ", "published", "failed", "dead-lettered")
		_, err := h.sources().Story(h.t.Context(), explain.Query{Topic: topic, Letter: "none"})
		if !errors.Is(err, bus.ErrNoEvent) {
			t.Error(err)
		}
	})
}

// What failed before a redrive stays in the story.
func TestRedrivenEventThatIsHandledHasItsWholeStory(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(givesUp)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		h.will(func(context.Context, bus.Event) error { return nil })
		letter := h.story(explain.Query{ID: "1"}).Letter
		h.redrive("")
		h.settle(time.Minute)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "handled at about ", "published", "failed", "redriven", "claimed", "handled")
		if l := story.Timeline[2]; l.Letter != letter || l.Group != "billing" {
			t.Errorf("redriven: %+v", l)
		}
		if by := h.story(explain.Query{Letter: letter}); by.ID != "1" || by.State != explain.Done || len(by.Timeline) != 5 {
			t.Errorf("by its letter, which is gone, it is %q, %q: %+v", by.ID, by.State, by.Timeline)
		}
		h.group.Name = "shipping"
		h.stands(h.story(explain.Query{ID: "1"}), explain.Settled, "acked", "published", "redriven")
	})
}

// An edit is in the story, the letter that it supersedes is not the one to redrive, and the event
// is one all the same, though its copies differ.
func TestEditedLetterIsInTheStory(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(givesUp)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		l := h.letters()[0]
		edit, err := h.topic.Edit(h.t.Context(), l, deadletter.Edit{Data: []byte("fixed")})
		must(t, err)
		for _, q := range []explain.Query{{ID: "1"}, {Letter: l.ID}, {Letter: edit}, {Sequence: 1}} {
			story := h.story(q)
			h.stands(story, explain.Dead, " as "+edit+": ", "published", "claimed", "failed", "dead-lettered", "edited", "dead")
			if line := story.Timeline[4]; story.Letter != edit || line.Letter != edit || !strings.Contains(line.Text, "letter "+l.ID+" was edited: "+edit) {
				t.Errorf("letter %q, edited: %+v", story.Letter, line)
			}
		}
		h.will(func(context.Context, bus.Event) error { return nil })
		h.settle(time.Minute)
		h.redrive("")
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "", "published", "failed", "redriven", "claimed", "handled")
		redriven := story.Timeline[2]
		if !strings.Contains(redriven.Text, "from letter "+edit+", as it was edited") {
			t.Error(redriven.Text)
		}
		for _, q := range []explain.Query{{Letter: edit}, {Sequence: 1}, {Sequence: redriven.Sequence}} {
			if story := h.story(q); story.ID != "1" || story.State != explain.Done {
				t.Errorf("%+v: %q: %s", q, story.State, story.Summary)
			}
		}
	})
}

// The copy that was redriven for another group is not this one's, and the letter was not dropped.
func TestLetterRedrivenForAnotherGroupIsNotDropped(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.will(givesUp)
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Minute)
		letter := h.letters()[0].ID
		h.redrive("shipping")
		for _, q := range []explain.Query{{ID: "1"}, {Letter: letter}} {
			h.stands(h.story(q), explain.Dead, "dead-lettered, and redriven for group shipping", "published", "claimed", "failed", "redriven", "dead")
		}
	})
}

// A copy that was published for another group is none that this one handles.
func TestReplayedCopyNamesItsGroup(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		h.settle(time.Second)
		e := order("1")
		h.publish(e.WithControl(bus.Control{Group: "shipping", Copy: "1"}), e.WithControl(bus.Control{Copy: "2"}))
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.Done, "handled", "published", "claimed", "handled", "replayed", "copied")
		if story.Timeline[3].Group != "shipping" {
			t.Errorf("replayed for %q", story.Timeline[3].Group)
		}
	})
}

// A copy for another group behind the floor makes nothing of an event pending that is settled.
func TestCopyForAnotherGroupIsNotPending(t *testing.T) {
	inBubble(t, func(h *harness) {
		e := order("1")
		h.publish(e, e.WithControl(bus.Control{Group: "shipping", Copy: "1"}))
		s := h.sources()
		s.Group.Cursors[0].Floor = 1
		for group, want := range map[string]explain.State{"billing": explain.Settled, "shipping": explain.Pending} {
			s.Group.Name = group
			story, err := s.Story(h.t.Context(), explain.Query{Topic: topic, ID: "1"})
			must(t, err)
			h.stands(story, want, "", "published", "replayed")
		}
	})
}

// Another payload under an id that was used before is another event: the story of the id is that of
// the first one, and the sequence names the other.
func TestReusedIDIsTwoStories(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.subscribe()
		h.publish(order("1"))
		other := order("1")
		other.Data = []byte("other")
		h.publish(other)
		h.settle(time.Minute)
		h.stands(h.story(explain.Query{ID: "1"}), explain.Done, "handled", "published", "claimed", "handled", "reused", "dead-lettered")
		story := h.story(explain.Query{Sequence: 2})
		if story.State != explain.Dead || story.ID != "1" || story.Letter == "" {
			t.Errorf("sequence 2 is %q, %q: %s", story.ID, story.State, story.Summary)
		}
		if story := h.story(explain.Query{Sequence: 1}); story.State != explain.Done || story.Letter != "" {
			t.Errorf("sequence 1 is %q: %s", story.State, story.Summary)
		}
	})
}

// Sources make different events of one id.
func TestSourcesTellEventsOfOneIDApart(t *testing.T) {
	inBubble(t, func(h *harness) {
		one, two := order("{1"), order("{1")
		two.Source = "urn:shop"
		h.subscribe()
		h.publish(one, two)
		h.settle(time.Second)
		_, err := h.sources().Story(h.t.Context(), explain.Query{Topic: topic, ID: "{1"})
		if !errors.Is(err, explain.ErrAmbiguous) {
			t.Fatal(err)
		}
		for source, sequence := range map[string]uint64{"onceish": 1, "urn:shop": 2} {
			story := h.story(explain.Query{ID: "{1", Source: source})
			h.stands(story, explain.Done, "handled", "published", "claimed", "handled")
			if story.Timeline[0].Sequence != sequence {
				t.Errorf("%s: %+v", source, story.Timeline)
			}
		}
	})
}

func TestOutboxRowsAreInTheStory(t *testing.T) {
	inBubble(t, func(h *harness) {
		_, err := h.outbox.Add(h.t.Context(), order("1"), bus.Event{ID: topic + "::billing::1", Topic: "invoice.sent"}, bus.Event{ID: "1", Topic: topic, Source: "urn:shop"})
		must(t, err)
		story := h.story(explain.Query{ID: "1"})
		h.stands(story, explain.NotFound, "", "added", "added")
		if l := story.Timeline[1]; l.Topic != "invoice.sent" || l.Source != explain.FromOutbox {
			t.Errorf("caused: %+v", l)
		}
	})
}

func TestReadingIsNarrowedByTime(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.publish(order("1"))
		h.settle(time.Hour)
		since := time.Now()
		h.publish(order("2"))
		h.stands(h.story(explain.Query{ID: "2", From: since}), explain.Pending, "", "published")
		story := h.story(explain.Query{ID: "1", From: since})
		h.stands(story, explain.NotFound, "or it was stored before ")
		h.misses(story.Missing, "no event of this id that was stored since ")
	})
}

// What cannot be looked up is said to be missing, and is no error.
func TestMissingSourcesAreSaid(t *testing.T) {
	inBubble(t, func(h *harness) {
		s := h.sources()
		s.Marks, s.Letters, s.Outbox = nil, nil, nil
		story, err := s.Story(h.t.Context(), explain.Query{Topic: topic, ID: "1"})
		must(t, err)
		for _, text := range []string{"which events are done is not known", "whether it has a dead letter is not known", "whether an outbox carried it is not known"} {
			h.misses(story.Missing, text)
		}
		h.publish(order("1"))
		lag, err := s.Lag(h.t.Context(), explain.Cursor{Topic: "order.*", Pending: 1})
		must(t, err)
		h.misses(lag.Missing, "which events are done is not known")
		_, err = h.sources().Story(h.t.Context(), explain.Query{Topic: topic, Sequence: 17})
		if !errors.Is(err, bus.ErrNoEvent) {
			t.Error(err)
		}
	})
}
