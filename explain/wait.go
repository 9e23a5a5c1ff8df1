package explain

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/group"
)

// What an event waits for.
const (
	// ForRun: a run of it has to end.
	ForRun = "run"
	// ForLease: a claim has to end by its lease.
	ForLease = "lease"
	// ForAttempt: its next attempt is due later.
	ForAttempt = "attempt"
	// ForLetter: its dead letter has to be stored.
	ForLetter = "letter"
	// ForMember: no process of the group is subscribed.
	ForMember = "member"
	// ForResume: the group, or the topic, is paused.
	ForResume = "resume"
	// ForProcess: the processes of the group hold back; Wait.Text says why.
	ForProcess = "process"
	// ForDelivery: the bus has other events to deliver before it.
	ForDelivery = "delivery"
	// ForKey: an earlier event of its order key is not settled.
	ForKey = "key"
	// ForUnknown: nothing shows what it waits for.
	ForUnknown = "unknown"
)

// Wait is something that an event waits for.
type Wait struct {
	For string `json:"for"`
	// Text says it to people.
	Text string `json:"text"`
	// Seconds is for how much longer, at most. Zero: it is not known.
	Seconds float64 `json:"seconds,omitempty"`
	// Process (ForRun, ForLetter) is the one that holds the claim, as host and process id.
	Process string `json:"process,omitempty"`
	// Event (ForKey) is the earlier one.
	Event *Event `json:"event,omitempty"`
}

// Event is an event of the group, and where it lies.
type Event struct {
	Topic    string    `json:"topic"`
	ID       string    `json:"id"`
	Source   string    `json:"source,omitempty"`
	Key      string    `json:"key,omitempty"`
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence,string"`
	Stored   time.Time `json:"stored"`
}

func newEvent(stored *bus.Stored) *Event {
	e, at := &stored.Event, stored.At
	return &Event{Topic: e.Topic, ID: e.ID, Source: e.Source, Key: e.Key, Stream: at.Stream, Sequence: at.Sequence, Stored: at.Stored.UTC()}
}

// waitsOf says what an event of a cursor waits for, the nearest first.
func (s *Sources) waitsOf(ctx context.Context, b lookup, c *Cursor, stored *bus.Stored, entry *dedupe.Entry) ([]Wait, error) {
	waits := s.rowWaits(entry)
	if len(waits) > 0 && waits[0].For != ForAttempt {
		return waits, nil
	}
	earlier, err := s.earlierOfKey(ctx, b, c, stored)
	if err != nil {
		return nil, err
	}
	if earlier != nil {
		waits = append(waits, Wait{For: ForKey, Event: earlier, Text: fmt.Sprintf("an earlier event of its key is not settled: %q at sequence %d", clip(earlier.ID), earlier.Sequence)})
	}
	waits = append(waits, s.groupWaits(c)...)
	if entry.Phase == dedupe.PhaseAbsent && stored.At.Sequence > c.Delivered {
		waits = append(waits, Wait{For: ForDelivery, Text: waitForDelivery(c, stored.At.Sequence)})
	}
	if len(waits) == 0 {
		waits = []Wait{{For: ForUnknown, Text: "what it waits for is not known, because it was delivered and nothing is known to hold it back: a process has it in memory, or lost it and it is redelivered after the ack wait"}}
	}
	return waits, nil
}

func waitForDelivery(c *Cursor, sequence uint64) string {
	if before := sequence - c.Delivered - 1; before > 0 {
		return fmt.Sprintf("it was not delivered yet: up to %d events come before it", min(before, c.Pending))
	}
	return "it was not delivered yet: it is the next one"
}

// rowWaits is what the row of an event shows.
func (s *Sources) rowWaits(e *dedupe.Entry) []Wait {
	held := e.HeldFor.Seconds()
	process, who := s.holder(e)
	switch {
	case e.Phase == dedupe.PhaseClaimed && e.HeldFor > 0:
		return []Wait{{For: ForRun, Seconds: held, Process: process, Text: fmt.Sprintf("attempt %d runs, or is about to, in %s; its lease ends in %v unless it is renewed",
			e.Attempts+1, who, roundUp(e.HeldFor))}}
	case e.Phase == dedupe.PhaseDeadLettering:
		return []Wait{{For: ForLetter, Seconds: held, Process: process, Text: fmt.Sprintf("it was given up, and its dead letter is not stored yet by %s: %s", who, e.Reason)}}
	case e.Phase == dedupe.PhaseClaimed:
		return []Wait{{For: ForLease, Process: process, Text: fmt.Sprintf("the lease of %s is over: the next delivery takes the event over", who)}}
	case e.Phase == dedupe.PhaseFree && e.HeldFor > 0:
		return []Wait{{For: ForAttempt, Seconds: held, Text: fmt.Sprintf("attempt %d is due in %v%s", e.Attempts+1, roundUp(e.HeldFor), lastError(e))}}
	case e.Phase == dedupe.PhaseFree && e.Attempts > 0:
		return []Wait{{For: ForAttempt, Text: fmt.Sprintf("attempt %d is due%s", e.Attempts+1, lastError(e))}}
	}
	return nil
}

func lastError(e *dedupe.Entry) string {
	if len(e.History) == 0 {
		return ""
	}
	return "; the last one failed: " + clip(e.History[len(e.History)-1].Error)
}

// holder is the process that holds a claim, by its name and in words.
func (s *Sources) holder(e *dedupe.Entry) (name, text string) {
	if m := s.ownerOf(e.Owner); m != nil {
		return process(m), process(m)
	}
	for i := range s.Group.Members {
		for _, sub := range s.Group.Members[i].Subscriptions {
			if sub.Owner != "" && e.Owner != "" {
				return "", "a process that is no member of the group any more"
			}
		}
	}
	return "", "a process that is not known"
}

// groupWaits is what holds back all events of a cursor.
func (s *Sources) groupWaits(c *Cursor) (waits []Wait) {
	if pause, paused := group.PauseFor(s.Group.Pauses, bus.LogicalTopic(c.Topic)); paused {
		waits = append(waits, Wait{For: ForResume, Text: "the group is paused: " + pause.String(), Seconds: untilEnd(&pause, c.Now)})
	} else if c.PausedFor > 0 {
		waits = append(waits, Wait{For: ForResume, Text: fmt.Sprintf("nats has paused the group's consumer for another %v", roundUp(c.PausedFor)), Seconds: c.PausedFor.Seconds()})
	}
	subscribed, working := 0, 0
	var held []Wait
	for i := range s.Group.Members {
		m := &s.Group.Members[i]
		for _, sub := range m.Subscriptions {
			if !readsFrom(&sub, c.Topic) {
				continue
			}
			subscribed++
			why := holdsBack(&sub)
			if why == "" {
				working++
			} else if len(waits) == 0 || sub.State != "paused" {
				held = append(held, Wait{For: ForProcess, Process: process(m), Text: process(m) + " " + why})
			}
		}
	}
	switch {
	case subscribed == 0:
		return append(waits, Wait{For: ForMember, Text: "no process of the group runs that is subscribed to " + c.Topic})
	case working == 0:
		return append(waits, held...)
	}
	return waits
}

// holdsBack is why a subscription of a member takes no further event. Empty: it does.
func holdsBack(sub *group.Subscription) string {
	switch {
	case sub.State != "running" && sub.Why != "":
		return "is " + sub.State + ": " + sub.Why
	case sub.State != "running":
		return "is " + sub.State
	case sub.Concurrency > 0 && sub.InFlight >= sub.Concurrency:
		return fmt.Sprintf("was busy when it last reported: it ran %d events, and runs no more at once", sub.InFlight)
	}
	return ""
}

func untilEnd(p *group.Paused, now time.Time) float64 {
	if p.Until.IsZero() || now.IsZero() {
		return 0
	}
	return max(0, p.Until.Sub(now).Seconds())
}

// roundUp makes whole seconds of what is left, for people.
func roundUp(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// clip bounds what others wrote, for people.
func clip(text string) string {
	const most = 200
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// readsFrom reports whether a process reads the cursor on a topic. That of a partition is read by
// its owner.
func readsFrom(sub *group.Subscription, topic string) bool {
	if p, ok := bus.ParsePartition(topic); ok && sub.Topic == p.Topic {
		return slices.Contains(sub.Partitions, p.Number)
	}
	return sub.Topic == topic
}
