package explain

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// inspectRow tells what the store keeps of the event.
func (t *teller) inspectRow(ctx context.Context) error {
	t.key = t.sources.keyOf(t.event())
	if l := t.ownLetter(); l != nil {
		if key, err := l.DedupeKey(); err == nil {
			t.key = key
		}
	}
	if t.sources.Marks == nil {
		t.addMissing("%s", t.sources.missingMarks())
		t.addLetters()
		return nil
	}
	entries, err := t.sources.inspect(ctx, t.key)
	if err != nil {
		return err
	}
	if t.entry = entries[0]; t.q.Sequence > 0 && t.key.Scope == "" {
		if err := t.inspectReused(ctx); err != nil {
			return err
		}
	}
	t.addClaim()
	t.addAttempts()
	t.addLetters()
	t.addRow()
	return nil
}

// inspectReused takes the row of a copy whose id was used before for another payload.
func (t *teller) inspectReused(ctx context.Context) error {
	for i := range t.copies {
		c := &t.copies[i]
		if c.At.Sequence != t.q.Sequence || !dedupe.Differ(c.hash(), t.entry.Hash) {
			continue
		}
		t.key.Scope = hex.EncodeToString(c.hash())
		entries, err := t.sources.inspect(ctx, t.key)
		if err != nil {
			return err
		}
		t.entry = entries[0]
	}
	return nil
}

// addClaim tells when the event was claimed first.
func (t *teller) addClaim() {
	if t.entry.Age == 0 {
		return
	}
	t.addLine(Line{Time: t.now.Add(-t.entry.Age), after: t.storedAt(0), Source: FromRow, Event: "claimed", Text: "claimed for the first time"})
}

// addAttempts tells of failed attempts: those that the row has, or else the letter.
func (t *teller) addAttempts() {
	history, source := t.entry.History, FromRow
	if l := t.ownLetter(); len(history) == 0 && t.entry.Phase == dedupe.PhaseAbsent && l != nil {
		history, source = l.History, FromLetter
	}
	for _, a := range history {
		t.addLine(Line{
			Time: a.Ended, after: t.storedAt(a.Sequence), Source: source, Event: "failed", Attempt: a.Number, Process: a.Process, Token: a.Token, Sequence: a.Sequence,
			TookSeconds: a.Took.Seconds(), Error: a.Error,
			Text: fmt.Sprintf("attempt %d failed%s after %v, under token %d: %s", a.Number, inProcess(a.Process), a.Took.Round(time.Millisecond), a.Token, clip(a.Error)),
		})
	}
	if failed := t.entry.Attempts; failed > len(t.entry.History) {
		t.addMissing("%d of %d failed attempts are not known, because the store keeps the last %d, and older versions none", failed-len(t.entry.History), failed, dedupe.MaxHistory)
	}
}

func inProcess(name string) string {
	if name == "" {
		return ""
	}
	return " in " + name
}

// addRow tells of the row as it is.
func (t *teller) addRow() {
	e := &t.entry
	until := t.now.Add(e.ExpiresIn).UTC()
	l := Line{Source: FromRow, Token: e.Token, Until: &until}
	switch {
	case e.Err != nil:
		t.addMissing("what the store keeps of it is not known: %v", e.Err)
		return
	case e.Phase == dedupe.PhaseDone:
		l.Event, l.Time, l.after = "handled", t.handledAt(), t.storedAt(0)
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
	l.Text = fmt.Sprintf("%s; its row is kept until %s", strings.TrimSuffix(l.Event+": "+e.Reason, ": "), until.Format(time.RFC3339))
	t.addLine(l)
}

// storedAt is when the copy at a sequence was stored; zero if that is not known. Of sequence 0, the
// first copy.
func (t *teller) storedAt(sequence uint64) time.Time {
	for i := range t.copies {
		if at := t.copies[i].At; at.Sequence == sequence || sequence == 0 {
			return at.Stored
		}
	}
	return time.Time{}
}

// handledAt is when an event that is done was marked, as follows from how long its mark is kept.
// Zero: no process runs that says how long that is.
func (t *teller) handledAt() time.Time {
	for i := range t.sources.Group.Members {
		for _, sub := range t.sources.Group.Members[i].Subscriptions {
			ttl := time.Duration(sub.TTLSeconds * float64(time.Second))
			if ttl >= t.entry.ExpiresIn && bus.Match(sub.Topic, t.q.Topic) {
				return t.now.Add(t.entry.ExpiresIn - ttl)
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
