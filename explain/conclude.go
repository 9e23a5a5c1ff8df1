package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// conclude says where the event stands, and what it waits for.
func (t *teller) conclude(ctx context.Context) error {
	cursor, last := t.sources.cursorFor(t.q.Topic), t.lastForGroup()
	t.story.State = t.stateOf(cursor, last)
	if slices.Contains([]State{Pending, Running, Retrying, DeadLettering}, t.story.State) {
		if err := t.findWaits(ctx, cursor, last); err != nil {
			return err
		}
	}
	t.story.Summary = t.summarize()
	return nil
}

func (t *teller) findWaits(ctx context.Context, cursor *Cursor, last *eventCopy) error {
	if cursor == nil || last == nil {
		t.story.Waits = append(t.story.Waits, t.sources.rowWaits(&t.entry)...)
		return nil
	}
	waits, err := t.sources.waitsOf(ctx, t.bus, cursor, &last.Stored, &t.entry)
	t.story.Waits = append(t.story.Waits, waits...)
	return err
}

// lastForGroup is the last copy that the group handles; nil: there is none.
func (t *teller) lastForGroup() *eventCopy {
	for i := len(t.copies) - 1; i >= 0; i-- {
		c := &t.copies[i]
		mine := c.control.Group == "" || c.control.Group == t.sources.Group.Name
		if mine && (t.q.Sequence == 0 || c.At.Sequence == t.q.Sequence || t.key.Scope == "") {
			return c
		}
	}
	return nil
}

func (t *teller) stateOf(cursor *Cursor, last *eventCopy) State {
	e := &t.entry
	switch {
	case e.Err != nil:
		return Unreadable
	case e.Phase == dedupe.PhaseDone:
		return Done
	case e.Phase == dedupe.PhaseDead:
		return Dead
	case e.Phase == dedupe.PhaseDeadLettering:
		return DeadLettering
	case e.Phase == dedupe.PhaseClaimed && e.HeldFor > 0:
		return Running
	case e.Phase == dedupe.PhaseFree && e.Attempts > 0:
		return Retrying
	case e.Phase != dedupe.PhaseAbsent && last != nil:
		return Pending
	case t.story.Letter != "":
		return Dead
	case last == nil:
		return NotFound
	case cursor == nil:
		return NotSubscribed
	case last.At.Sequence <= cursor.Floor:
		return Settled
	}
	return Pending
}

// summarize says in words where the event stands.
func (t *teller) summarize() string {
	kept := t.now.Add(t.entry.ExpiresIn).UTC().Format(time.RFC3339)
	switch t.story.State {
	case NotFound:
		return t.summarizeNotFound()
	case NotSubscribed:
		return fmt.Sprintf("group %s does not consume %s: it is subscribed to %s", t.story.Group, t.q.Topic, t.subscribedTopics())
	case Done:
		if at := t.handledAt(); !at.IsZero() {
			return fmt.Sprintf("handled at about %s, mark kept until %s", at.UTC().Format(time.RFC3339), kept)
		}
		return fmt.Sprintf("handled, mark kept until %s; when it was handled is not known, because no process runs that says how long marks are kept", kept)
	case Dead:
		return t.summarizeDead(kept)
	case Settled:
		return "the bus counts it as acked and the store keeps nothing of it: it was handled or given up and its mark has expired, or it was stored before the group began"
	case Unreadable:
		return "its row cannot be read by this version: use the version that its workers have"
	case Pending, Running, Retrying, DeadLettering:
	}
	if len(t.story.Waits) == 0 {
		return string(t.story.State)
	}
	return string(t.story.State) + ": " + t.story.Waits[0].Text
}

func (t *teller) summarizeNotFound() string {
	text := "nothing is known of this event: it was never stored on " + t.q.Topic + ", or was dropped from the stream, and its mark has expired"
	if !t.q.From.IsZero() {
		text += "; or it was stored before " + t.q.From.UTC().Format(time.RFC3339)
	}
	return text
}

func (t *teller) summarizeDead(kept string) string {
	if l := t.ownLetter(); l != nil {
		return fmt.Sprintf("dead-lettered at %s as %s: %s", l.Died.UTC().Format(time.RFC3339), l.ID, clip(l.Reason))
	}
	return fmt.Sprintf("dead-lettered, and the letter is gone: it was dropped, or its redrive was interrupted; mark kept until %s", kept)
}

func (t *teller) subscribedTopics() string {
	var topics []string
	for _, c := range t.sources.Group.Cursors {
		topics = append(topics, c.Topic)
	}
	return cmp.Or(strings.Join(topics, ", "), "nothing")
}
