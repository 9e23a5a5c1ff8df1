package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Page is a part of a list.
type Page struct {
	Letters []Letter
	// Next is the position after which the next page begins. Zero: there are no more letters.
	Next bus.Position
	// Skipped is how many events were passed over that are no letters, or have lost a part.
	Skipped int
}

// Page returns at most limit letters that a filter selects, from a position on, as List. Pages
// neither skip nor repeat a letter, whatever is stored or deleted between them.
func (t *Topic) Page(ctx context.Context, f Filter, after bus.Position, limit int) (p Page, err error) {
	for l, err := range t.List(ctx, f, after) {
		switch {
		case err != nil && PassesOver(err):
			p.Skipped++
			continue
		case err != nil:
			return p, err
		case len(p.Letters) == limit:
			p.Next = p.Letters[limit-1].Position
			return p, nil
		}
		p.Letters = append(p.Letters, l)
	}
	return p, nil
}

// PassesOver reports whether an error that List has yielded is of one event, and others follow.
func PassesOver(err error) bool {
	return errors.Is(err, consumer.ErrNotLetter) || errors.Is(err, consumer.ErrLetterPart)
}

// maxNamesakes is how many letters of one event are looked at.
const maxNamesakes = 100

// Find returns the letter of a group that has an ID, or that of the event with this ID where one
// letter of it alone is not superseded. Its event is loaded. ErrNoLetter: there is none.
// ErrAmbiguous: there are several; the message names two of them. It blocks for a search of the
// topic.
func (t *Topic) Find(ctx context.Context, group, id string) (*Letter, error) {
	p, err := t.Page(ctx, Filter{Group: group, ID: id}, bus.Position{}, maxNamesakes)
	if err != nil {
		return nil, err
	}
	if err := t.FindEdits(ctx, p.Letters); err != nil {
		return nil, err
	}
	for i := range p.Letters {
		if l := &p.Letters[i]; l.ID == id {
			return l, t.Load(ctx, l)
		}
	}
	letters := slices.DeleteFunc(p.Letters, func(l Letter) bool { return l.SupersededBy != "" })
	switch len(letters) {
	case 0:
		return nil, fmt.Errorf("%w: %s has no letter of %q: it was never given up, or its letter was redriven or dropped", ErrNoLetter, t.name, id)
	case 1:
		return &letters[0], t.Load(ctx, &letters[0])
	}
	return nil, fmt.Errorf("%w: %s has more than one letter of %q: name one of them, such as %q or %q", ErrAmbiguous, t.name, id, letters[0].ID, letters[1].ID)
}
