package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// clockError is by how much the time of a claim, which follows from its age, may be too early.
const clockError = time.Second

// addClaim adds when the event was claimed first, or first since its last redrive.
func (b *storyBuilder) addClaim(r *row) {
	if r.entry.Age == 0 {
		return
	}
	l := Line{Time: b.now.Add(-r.entry.Age), after: r.stored(), Source: FromRow, Event: "claimed", Scope: r.scope, Text: "claimed for the first time" + inScope(r.scope)}
	if r.redriven = b.redrivenBefore(l.Time, r.scope); !r.redriven.IsZero() {
		l.after = r.redriven
		l.Text += " since it was redriven"
	}
	r.claimed = later(l.Time, l.after)
	b.addLine(l)
}

// redrivenBefore is when the event was last redriven in a scope before a time of the store's clock;
// zero: it was not.
func (b *storyBuilder) redrivenBefore(at time.Time, scope string) time.Time {
	for i := len(b.copies) - 1; i >= 0; i-- {
		c := &b.copies[i]
		if c.control.Redriven != "" && b.isOwn(c) && c.control.Again == scope && c.At.Stored.Before(at.Add(clockError)) {
			return c.At.Stored
		}
	}
	return time.Time{}
}

// claimedAfter is when a copy that was stored at a time was claimed in a scope at the earliest.
func (b *storyBuilder) claimedAfter(stored time.Time, scope string) time.Time {
	for i := range b.rows {
		if r := &b.rows[i]; r.scope == scope && !stored.Before(r.redriven) {
			return later(stored, r.claimed)
		}
	}
	return stored
}

// addAttempts adds failed attempts: those that the row has, or else the letter.
func (b *storyBuilder) addAttempts(r *row) {
	e := &r.entry
	history, source := e.History, FromRow
	if len(history) == 0 && e.Phase == dedupe.PhaseAbsent && r.letter != nil {
		history, source = r.letter.History, FromLetter
	}
	for _, a := range history {
		b.addLine(Line{
			Time: a.Ended, after: b.claimedAfter(b.storedAt(a.Sequence), r.scope), Source: source, Event: "failed", Scope: r.scope, Attempt: a.Number, Process: a.Process, Token: a.Token, Sequence: a.Sequence,
			TookSeconds: a.Took.Seconds(), Error: a.Error,
			Text: fmt.Sprintf("attempt %d%s failed%s after %v, under token %d: %s", a.Number, inScope(r.scope), inProcess(a.Process), a.Took.Round(time.Millisecond), a.Token, clip(a.Error)),
		})
	}
	if failed := e.Attempts; failed > len(e.History) {
		b.addMissing("%d of %d failed attempts%s are not known, because the store keeps the last %d, and older versions none", failed-len(e.History), failed, inScope(r.scope), dedupe.MaxHistory)
	}
}

func inProcess(name string) string {
	if name == "" {
		return ""
	}
	return " in " + name
}

// inScope says that something happened in a scope, if it did.
func inScope(scope string) string {
	if scope == "" {
		return ""
	}
	return " " + scopeName(scope)
}

// addRow adds the row as it is.
func (b *storyBuilder) addRow(r *row) {
	e := &r.entry
	until := b.now.Add(e.ExpiresIn).UTC()
	l := Line{Source: FromRow, Scope: r.scope, Token: e.Token, Until: &until}
	switch {
	case e.Err != nil:
		b.addMissing("what the store keeps of it%s is not known: %v", inScope(r.scope), e.Err)
		return
	case e.Phase == dedupe.PhaseDone:
		l.Event, l.Time, l.after = "handled", b.handledAt(r), later(r.stored(), r.claimed)
		if n := len(e.History); n > 0 {
			l.after = later(l.after, e.History[n-1].Ended)
		}
	case e.Phase == dedupe.PhaseDead:
		l.Event = "dead"
	case e.Phase == dedupe.PhaseDeadLettering:
		l.Event, l.Letter, l.Error = "given up", e.Letter, e.Reason
	default:
		return // what it waits for says all
	}
	l.Text = fmt.Sprintf("%s; its row is kept until %s", strings.TrimSuffix(l.Event+inScope(r.scope)+": "+e.Reason, ": "), until.Format(time.RFC3339))
	b.addLine(l)
}

// stored is when the first copy was stored; zero if that is not known.
func (r *row) stored() time.Time {
	if r.first == nil {
		return time.Time{}
	}
	return r.first.At.Stored
}

// storedAt is when the copy at a sequence was stored; zero if that is not known.
func (b *storyBuilder) storedAt(sequence uint64) time.Time {
	for i := range b.copies {
		if at := b.copies[i].At; at.Sequence == sequence {
			return at.Stored
		}
	}
	return time.Time{}
}

// handledAt is when an event that is done was marked, as follows from how long its mark is kept.
// Zero: no process runs that says how long that is.
func (b *storyBuilder) handledAt(r *row) time.Time {
	for i := range b.sources.Group.Members {
		for _, sub := range b.sources.Group.Members[i].Subscriptions {
			ttl := time.Duration(sub.TTLSeconds * float64(time.Second))
			if ttl >= r.entry.ExpiresIn && bus.Match(sub.Topic, b.q.Topic) {
				return b.now.Add(r.entry.ExpiresIn - ttl)
			}
		}
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
