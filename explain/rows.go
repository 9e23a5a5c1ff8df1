package explain

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
)

// row is the event under one key, and what the store keeps of it.
type row struct {
	key   dedupe.Key
	scope string // in which the event runs again; empty: it is the first time
	entry dedupe.Entry

	first, last *eventCopy         // that the group handles under the key; nil: there is none
	letter      *deadletter.Letter // the last one that is stored; nil: there is none
}

// inspectRows tells what the store keeps of the event.
func (t *teller) inspectRows(ctx context.Context) error {
	if t.sources.Marks == nil {
		t.addMissing("%s", t.sources.missingMarks())
	}
	t.findRows()
	keys := make([]dedupe.Key, len(t.rows))
	for i := range t.rows {
		keys[i] = t.rows[i].key
	}
	entries, err := t.sources.inspect(ctx, keys...)
	if err != nil {
		return err
	}
	for i := range t.rows {
		t.rows[i].entry = entries[i]
	}
	if err := t.inspectReused(ctx); err != nil {
		return err
	}
	for i := range t.rows {
		t.findCopiesOf(&t.rows[i])
		t.addClaim(&t.rows[i])
		t.addAttempts(&t.rows[i])
	}
	t.addLetters()
	for i := range t.rows {
		t.addRow(&t.rows[i])
	}
	return nil
}

// findRows collects the keys of the event: that of the scope which the query names, and those of
// the others that its copies and letters name.
func (t *teller) findRows() {
	own := t.ownRow()
	t.rows = []row{own}
	if own.key.Scope != dedupe.AgainScope(t.scope) {
		return // it is another event under the id
	}
	scopes := []string{t.scope, ""}
	for i := range t.copies {
		scopes = append(scopes, t.copies[i].control.Again)
	}
	for i := range t.letters {
		scopes = append(scopes, t.letters[i].Again)
	}
	for i, scope := range scopes {
		if slices.Contains(scopes[:i], scope) || i == 0 {
			continue
		}
		key := own.key
		key.Scope = dedupe.AgainScope(scope)
		t.rows = append(t.rows, row{scope: scope, key: key, letter: t.letterOf(key)})
	}
}

// isOwn reports whether the group handles a copy: it is not for another one.
func (t *teller) isOwn(c *eventCopy) bool {
	return c.control.Group == "" || c.control.Group == t.sources.Group.Name
}

// ownRow is the row of the scope that the query names, or of the first time.
func (t *teller) ownRow() row {
	r := row{scope: t.scope, key: t.sources.keyOf(nil, t.event()), letter: t.ownLetter()}
	r.key.Scope = dedupe.AgainScope(t.scope)
	if r.letter != nil {
		if key, err := r.letter.DedupeKey(); err == nil {
			r.key = key
			return r
		}
	}
	if !t.hasOwnIDs() {
		return r
	}
	for i := range t.copies {
		if c := &t.copies[i]; c.loaded && c.control.Again == t.scope && (t.named == 0 || c.At.Sequence == t.named) {
			r.key = t.sources.keyOf(t.cursor, &c.Event)
			r.letter = t.letterOf(r.key)
			return r
		}
	}
	t.addMissing("which mark it has is not known, because the group's ids are made of the events, and there is no copy of this one")
	return r
}

// findCopiesOf finds the copies that the group handles under the key of a row. Where the id was
// used before for another payload, that is the one that the query names.
func (t *teller) findCopiesOf(r *row) {
	isReused := r.key.Scope != dedupe.AgainScope(r.scope)
	for i := range t.copies {
		c := &t.copies[i]
		if !t.isOwn(c) || c.control.Again != r.scope || isReused && t.named > 0 && c.At.Sequence != t.named {
			continue
		}
		if r.last = c; r.first == nil {
			r.first = c
		}
	}
}

// inspectReused takes the row of the copy that the query names, if its id was used before for
// another payload.
func (t *teller) inspectReused(ctx context.Context) error {
	r := &t.rows[0]
	if r.key.Scope != "" {
		return nil
	}
	for i := range t.copies {
		c := &t.copies[i]
		if c.At.Sequence != t.named || !dedupe.Differ(c.hash(), r.entry.Hash) || t.wasEdited(r.entry.Hash) {
			continue
		}
		r.key.Scope = hex.EncodeToString(c.hash())
		entries, err := t.sources.inspect(ctx, r.key)
		if err != nil {
			return err
		}
		t.rows = t.rows[:1]
		r.entry, r.letter = entries[0], t.letterOf(r.key)
		return nil
	}
	return nil
}

// wasEdited reports whether a payload is that of a redriven copy: then it differs from that of
// other copies because the letter was edited.
func (t *teller) wasEdited(hash []byte) bool {
	return slices.ContainsFunc(t.copies, func(c eventCopy) bool {
		return c.control.Redriven != "" && c.loaded && !dedupe.Differ(c.hash(), hash)
	})
}

// addClaim tells when the event was claimed first.
func (t *teller) addClaim(r *row) {
	if r.entry.Age == 0 {
		return
	}
	t.addLine(Line{Time: t.now.Add(-r.entry.Age), after: r.stored(), Source: FromRow, Event: "claimed", Scope: r.scope, Text: "claimed for the first time" + inScope(r.scope)})
}

// addAttempts tells of failed attempts: those that the row has, or else the letter.
func (t *teller) addAttempts(r *row) {
	e := &r.entry
	history, source := e.History, FromRow
	if len(history) == 0 && e.Phase == dedupe.PhaseAbsent && r.letter != nil {
		history, source = r.letter.History, FromLetter
	}
	for _, a := range history {
		t.addLine(Line{
			Time: a.Ended, after: t.storedAt(a.Sequence), Source: source, Event: "failed", Scope: r.scope, Attempt: a.Number, Process: a.Process, Token: a.Token, Sequence: a.Sequence,
			TookSeconds: a.Took.Seconds(), Error: a.Error,
			Text: fmt.Sprintf("attempt %d%s failed%s after %v, under token %d: %s", a.Number, inScope(r.scope), inProcess(a.Process), a.Took.Round(time.Millisecond), a.Token, clip(a.Error)),
		})
	}
	if failed := e.Attempts; failed > len(e.History) {
		t.addMissing("%d of %d failed attempts%s are not known, because the store keeps the last %d, and older versions none", failed-len(e.History), failed, inScope(r.scope), dedupe.MaxHistory)
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

// addRow tells of the row as it is.
func (t *teller) addRow(r *row) {
	e := &r.entry
	until := t.now.Add(e.ExpiresIn).UTC()
	l := Line{Source: FromRow, Scope: r.scope, Token: e.Token, Until: &until}
	switch {
	case e.Err != nil:
		t.addMissing("what the store keeps of it%s is not known: %v", inScope(r.scope), e.Err)
		return
	case e.Phase == dedupe.PhaseDone:
		l.Event, l.Time, l.after = "handled", t.handledAt(r), r.stored()
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
	t.addLine(l)
}

// stored is when the first copy was stored; zero if that is not known.
func (r *row) stored() time.Time {
	if r.first == nil {
		return time.Time{}
	}
	return r.first.At.Stored
}

// storedAt is when the copy at a sequence was stored; zero if that is not known.
func (t *teller) storedAt(sequence uint64) time.Time {
	for i := range t.copies {
		if at := t.copies[i].At; at.Sequence == sequence {
			return at.Stored
		}
	}
	return time.Time{}
}

// handledAt is when an event that is done was marked, as follows from how long its mark is kept.
// Zero: no process runs that says how long that is.
func (t *teller) handledAt(r *row) time.Time {
	for i := range t.sources.Group.Members {
		for _, sub := range t.sources.Group.Members[i].Subscriptions {
			ttl := time.Duration(sub.TTLSeconds * float64(time.Second))
			if ttl >= r.entry.ExpiresIn && bus.Match(sub.Topic, t.q.Topic) {
				return t.now.Add(r.entry.ExpiresIn - ttl)
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
