package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// editsAge is for how long what is known of edits is good enough for the next letters of a bulk
// change.
const editsAge = time.Second

// edits is what a topic has of letters that were edited. It is not safe for concurrent use.
type edits struct {
	t      *Topic
	after  bus.Position // up to which the topic was searched
	looked time.Time    // when
	// families are the letters with one original in the order in which they were stored, by the ID
	// of the original. The last one supersedes the others.
	families map[string][]Letter
}

// originalID is the same for a letter and all its edits.
func (l *Letter) originalID() string { return cmp.Or(l.Edited, l.ID) }

// refresh searches for edits of letters, and for their originals once it has found one. An edit is
// stored after its original, so the search begins after the first of the letters.
func (e *edits) refresh(ctx context.Context, letters []Letter) error {
	found := false
	note := func(original string) {
		if _, known := e.families[original]; !known {
			e.families[original], found = nil, true
		}
	}
	if e.families == nil {
		e.families = make(map[string][]Letter)
		e.after = letters[0].Position
	}
	for i := range letters {
		if letters[i].Edited != "" {
			note(letters[i].Edited)
		}
	}
	if !found && time.Since(e.looked) < editsAge {
		return nil
	}
	e.looked = time.Now()
	for s, err := range e.t.readHeaders(ctx, e.after) {
		if err != nil {
			return err
		}
		e.after = s.At
		if original, ok := consumer.LetterText(&s.Event, "Edited"); ok {
			note(original)
			found = true
		}
	}
	if !found {
		return nil
	}
	return e.readFamilies(ctx)
}

// readFamilies reads which letters each family has now.
func (e *edits) readFamilies(ctx context.Context) error {
	for original := range e.families {
		e.families[original] = nil
	}
	for s, err := range e.t.readHeaders(ctx, bus.Position{}) {
		if err != nil {
			return err
		}
		original, edited := consumer.LetterText(&s.Event, "Edited")
		if !edited {
			original = s.Event.ID
		}
		if _, known := e.families[original]; !known {
			continue
		}
		l, err := consumer.ParseLetter(s.Event)
		if err == nil {
			e.families[original] = append(e.families[original], Letter{Letter: *l, Position: s.At})
		}
	}
	return nil
}

// supersededBy returns the letter that supersedes another one; nil: none does.
func (e *edits) supersededBy(l *Letter) *Letter {
	family := e.families[l.originalID()]
	if len(family) == 0 || family[len(family)-1].ID == l.ID {
		return nil
	}
	return &family[len(family)-1]
}

// superseded returns the letters that a letter supersedes.
func (e *edits) superseded(l *Letter) (older []Letter) {
	for _, other := range e.families[l.originalID()] {
		if other.ID != l.ID {
			older = append(older, other)
		}
	}
	return older
}

// readHeaders reads the events of the topic after a position without their data.
func (t *Topic) readHeaders(ctx context.Context, after bus.Position) func(yield func(bus.Stored, error) bool) {
	return func(yield func(bus.Stored, error) bool) {
		for s, err := range t.reader.Read(ctx, t.name, bus.Range{From: bus.From{After: after}, HeadersOnly: true}) {
			if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
				continue // Letters that were redriven meanwhile, too, are gone from the beginning.
			}
			if err != nil {
				err = fmt.Errorf("dead-letter topic %q: %w", t.name, err)
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// FindEdits sets Letter.SupersededBy of letters that List has returned, in its order. It reads the
// headers of the letters that were stored after the first of them.
func (t *Topic) FindEdits(ctx context.Context, letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	e := &edits{t: t}
	if err := e.refresh(ctx, letters); err != nil {
		return err
	}
	for i := range letters {
		if by := e.supersededBy(&letters[i]); by != nil {
			letters[i].SupersededBy = by.ID
		}
	}
	return nil
}
