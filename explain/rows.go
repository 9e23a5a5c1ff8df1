package explain

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

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

	redriven time.Time // when it was redriven last before it was claimed
	claimed  time.Time // when it was claimed, and not before it was stored
}

// inspectRows looks up what the store keeps of the event, and adds the lines of that and of its
// letters.
func (b *storyBuilder) inspectRows(ctx context.Context) error {
	if b.sources.Marks == nil {
		b.addMissing("%s", b.sources.missingMarks())
	}
	b.findRows()
	keys := make([]dedupe.Key, len(b.rows))
	for i := range b.rows {
		keys[i] = b.rows[i].key
	}
	entries, err := b.sources.inspect(ctx, keys...)
	if err != nil {
		return err
	}
	for i := range b.rows {
		b.rows[i].entry = entries[i]
	}
	if err := b.inspectReused(ctx); err != nil {
		return err
	}
	for i := range b.rows {
		b.findCopiesOf(&b.rows[i])
		b.addClaim(&b.rows[i])
		b.addAttempts(&b.rows[i])
	}
	b.addLetters()
	for i := range b.rows {
		b.addRow(&b.rows[i])
	}
	return nil
}

// findRows collects the keys of the event: that of the scope which the query names, and those of
// the others that its copies and letters name.
func (b *storyBuilder) findRows() {
	own := b.ownRow()
	b.rows = []row{own}
	if own.key.Scope != dedupe.AgainScope(b.scope) {
		return // it is another event under the id
	}
	scopes := []string{b.scope, ""}
	for i := range b.copies {
		scopes = append(scopes, b.copies[i].control.Again)
	}
	for i := range b.letters {
		scopes = append(scopes, b.letters[i].Again)
	}
	for i, scope := range scopes {
		if slices.Contains(scopes[:i], scope) || i == 0 {
			continue
		}
		key := own.key
		key.Scope = dedupe.AgainScope(scope)
		b.rows = append(b.rows, row{scope: scope, key: key, letter: b.letterOf(key)})
	}
}

// isOwn reports whether the group handles a copy: it is not for another one.
func (b *storyBuilder) isOwn(c *eventCopy) bool {
	return c.control.Group == "" || c.control.Group == b.sources.Group.Name
}

// ownRow is the row of the scope that the query names, or of the first time.
func (b *storyBuilder) ownRow() row {
	r := row{scope: b.scope, key: b.sources.keyOf(nil, b.event()), letter: b.ownLetter()}
	r.key.Scope = dedupe.AgainScope(b.scope)
	if r.letter != nil {
		if key, err := r.letter.DedupeKey(); err == nil {
			r.key = key
			return r
		}
	}
	if !b.hasOwnIDs() {
		return r
	}
	for i := range b.copies {
		if c := &b.copies[i]; c.loaded && c.control.Again == b.scope && (b.named == 0 || c.At.Sequence == b.named) {
			r.key = b.sources.keyOf(b.cursor, &c.Event)
			r.letter = b.letterOf(r.key)
			return r
		}
	}
	b.addMissing("which mark it has is not known, because the group's ids are made of the events, and there is no copy of this one")
	return r
}

// findCopiesOf finds the copies that the group handles under the key of a row. Where the id was
// used before for another payload, that is the one that the query names.
func (b *storyBuilder) findCopiesOf(r *row) {
	isReused := r.key.Scope != dedupe.AgainScope(r.scope)
	for i := range b.copies {
		c := &b.copies[i]
		if !b.isOwn(c) || c.control.Again != r.scope || isReused && b.named > 0 && c.At.Sequence != b.named {
			continue
		}
		if r.last = c; r.first == nil {
			r.first = c
		}
	}
}

// inspectReused takes the row of the copy that the query names, if its id was used before for
// another payload.
func (b *storyBuilder) inspectReused(ctx context.Context) error {
	r := &b.rows[0]
	if r.key.Scope != "" {
		return nil
	}
	for i := range b.copies {
		c := &b.copies[i]
		if c.At.Sequence != b.named || !dedupe.Differ(c.hash(), r.entry.Hash) || b.wasEdited(r.entry.Hash) {
			continue
		}
		r.key.Scope = hex.EncodeToString(c.hash())
		entries, err := b.sources.inspect(ctx, r.key)
		if err != nil {
			return err
		}
		b.rows = b.rows[:1]
		r.entry, r.letter = entries[0], b.letterOf(r.key)
		return nil
	}
	return nil
}

// wasEdited reports whether a payload is that of a redriven copy: then it differs from that of
// other copies because the letter was edited.
func (b *storyBuilder) wasEdited(hash []byte) bool {
	return slices.ContainsFunc(b.copies, func(c eventCopy) bool {
		return c.control.Redriven != "" && c.loaded && !dedupe.Differ(c.hash(), hash)
	})
}
