package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// State is where an event stands in a group.
type State string

// The states of an event.
const (
	// NotFound: neither the stream nor the store nor the letters have it.
	NotFound State = "not found"
	// NotSubscribed: the group does not consume its topic.
	NotSubscribed State = "not subscribed"
	// Pending: no run of it is known.
	Pending State = "pending"
	// Running: a process has claimed it.
	Running State = "running"
	// Retrying: it failed, and waits for its next attempt.
	Retrying State = "retrying"
	// DeadLettering: it was given up, and its dead letter may not be stored yet.
	DeadLettering State = "dead-lettering"
	// Dead: its dead letter is stored.
	Dead State = "dead"
	// Done: it was handled.
	Done State = "done"
	// Settled: the bus counts it as acked, and nothing is kept of it: it was handled or given up,
	// and its mark has expired, or was stored before the group began.
	Settled State = "settled"
	// Unreadable: its row is one that this version cannot read.
	Unreadable State = "unreadable"
)

// Standing is where an event stands in a group: the first time, or in a scope in which it runs
// again.
type Standing struct {
	// Scope is that of bus.Control.Again. Empty: it is the first time.
	Scope string `json:"scope,omitempty"`
	State State  `json:"state"`
	// Summary says in words where it stands.
	Summary string `json:"summary"`
	// Attempts is how many have failed, as far as the store knows.
	Attempts int `json:"attempts,omitempty"`
	// Until is how long the store keeps its row. Nil: it has none.
	Until *time.Time `json:"until,omitempty"`
	// Waits is what it waits for, the nearest first.
	Waits []Wait `json:"waits"`
	// Letter is the id of its last dead letter that is stored.
	Letter string `json:"letter,omitempty"`
}

// conclude says where the event stands, and what it waits for. Scopes that nothing is known of are
// left out.
func (b *storyBuilder) conclude(ctx context.Context) error {
	var all []Standing
	for i := range b.rows {
		standing, err := b.standingOf(ctx, &b.rows[i])
		if err != nil {
			return err
		}
		if i > 0 && all[0].State == NotFound {
			all = all[:0] // it is known in this scope at least
		}
		if len(all) == 0 || standing.State != NotFound {
			all = append(all, standing)
		}
	}
	b.story.Standing, b.story.Others = all[0], all[1:]
	if r := &b.rows[0]; r.last != nil && r.letter == nil {
		if c := b.cursorOf(r); c != nil && b.sources.mayHaveOtherID(c, &r.last.Stored, &r.entry) {
			b.addMissing(missingID)
		}
	}
	for i := range b.story.Others {
		b.story.Summary += fmt.Sprintf("; %s: %s", scopeName(b.story.Others[i].Scope), b.story.Others[i].State)
	}
	return nil
}

// scopeName is a scope to people.
func scopeName(scope string) string {
	if scope == "" {
		return "the first time"
	}
	return "in the scope " + scope
}

func (b *storyBuilder) standingOf(ctx context.Context, r *row) (Standing, error) {
	e := &r.entry
	out := Standing{Scope: r.scope, State: b.stateOf(r), Attempts: e.Attempts, Waits: []Wait{}}
	if e.Phase != dedupe.PhaseAbsent {
		until := b.now.Add(e.ExpiresIn).UTC()
		out.Until = &until
	}
	if r.letter != nil {
		out.Letter = r.letter.ID
	}
	if slices.Contains([]State{Pending, Running, Retrying, DeadLettering}, out.State) {
		waits, err := b.findWaits(ctx, r)
		if err != nil {
			return out, err
		}
		out.Waits = append(out.Waits, waits...)
	}
	out.Summary = b.summarize(r, &out)
	return out, nil
}

func (b *storyBuilder) findWaits(ctx context.Context, r *row) ([]Wait, error) {
	c := b.cursorOf(r)
	if c == nil || r.last == nil {
		return b.sources.rowWaits(&r.entry), nil
	}
	return b.sources.waitsOf(ctx, b.bus, c, &r.last.Stored, &r.entry)
}

func (b *storyBuilder) stateOf(r *row) State {
	e := &r.entry
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
	case e.Phase != dedupe.PhaseAbsent && r.last != nil:
		return Pending
	case r.letter != nil:
		return Dead
	case r.last == nil:
		return NotFound
	}
	switch c := b.cursorOf(r); {
	case c == nil:
		return NotSubscribed
	case r.last.At.Sequence <= c.Floor:
		return Settled
	}
	return Pending
}

// cursorOf is the group's cursor for the last copy of a row; nil: it reads none there.
func (b *storyBuilder) cursorOf(r *row) *Cursor {
	if r.last == nil {
		return b.cursor
	}
	return b.sources.cursorAt(r.last.Event.Topic)
}

// summarize says in words where the event stands.
func (b *storyBuilder) summarize(r *row, s *Standing) string {
	text := b.summarizeState(r, s)
	if s.Scope == "" {
		return text
	}
	return scopeName(s.Scope) + ": " + text
}

func (b *storyBuilder) summarizeState(r *row, s *Standing) string {
	kept := b.now.Add(r.entry.ExpiresIn).UTC().Format(time.RFC3339)
	switch s.State {
	case NotFound:
		return b.summarizeNotFound()
	case NotSubscribed:
		return fmt.Sprintf("group %s does not consume %s: it is subscribed to %s", b.story.Group, r.last.Event.Topic, b.subscribedTopics())
	case Done:
		if at := b.handledAt(r); !at.IsZero() {
			return fmt.Sprintf("handled at about %s, mark kept until %s", at.UTC().Format(time.RFC3339), kept)
		}
		return fmt.Sprintf("handled, mark kept until %s; when it was handled is not known, because no process runs that says how long marks are kept", kept)
	case Dead:
		return b.summarizeDead(r, kept)
	case Settled:
		return "the bus counts it as acked and the store keeps nothing of it: it was handled or given up and its mark has expired, or it was stored before the group began"
	case Unreadable:
		return "its row cannot be read by this version: use the version that its workers have"
	case Pending, Running, Retrying, DeadLettering:
	}
	if len(s.Waits) == 0 {
		return string(s.State)
	}
	return string(s.State) + ": " + s.Waits[0].Text
}

func (b *storyBuilder) summarizeNotFound() string {
	if b.noStream {
		return "nothing is known of this event: no stream has the topic " + b.q.Topic + ": check the names of topic and group, and their order"
	}
	if len(b.copies) > 0 {
		return "not found for this group: all copies of it that the stream has are for other groups"
	}
	text := "nothing is known of this event: it was never stored on " + b.q.Topic + ", or was dropped from the stream, and its mark has expired"
	if !b.q.From.IsZero() {
		text += "; or it was stored before " + b.q.From.UTC().Format(time.RFC3339)
	}
	return text
}

func (b *storyBuilder) summarizeDead(r *row, kept string) string {
	if l := r.letter; l != nil {
		return fmt.Sprintf("dead-lettered at %s as %s: %s", l.Died.UTC().Format(time.RFC3339), l.ID, clip(l.Reason))
	}
	for i := range b.copies {
		if c := &b.copies[i].control; c.Redriven != "" && c.Again == r.scope && c.Group != b.story.Group {
			return fmt.Sprintf("dead-lettered, and redriven for group %s; mark kept until %s", clip(c.Group), kept)
		}
	}
	return fmt.Sprintf("dead-lettered, and the letter is gone: it was dropped, or its redrive was interrupted; mark kept until %s", kept)
}

func (b *storyBuilder) subscribedTopics() string {
	var topics []string
	for _, c := range b.sources.Group.Cursors {
		topic := c.Topic
		if p, ok := bus.ParsePartition(topic); ok {
			topic = fmt.Sprintf("%s in %d partitions", p.Topic, p.Of)
		}
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return cmp.Or(strings.Join(slices.Compact(topics), ", "), "nothing")
}
