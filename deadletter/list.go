package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// List returns the letters that a filter selects, in the order in which they were stored, up to the
// end of the topic as it is when the iteration begins. It goes on after a position that an earlier
// list has reached; zero is the beginning. It blocks and retries as bus.Reader does, and holds a
// bounded number of letters.
//
// The event of a letter has its data only if the filter looks at the data; Load completes it. Two
// errors do not end the iteration: consumer.ErrNotLetter for an event that is no letter, which
// comes with its position, and consumer.ErrLetterPart for a letter that takes its parts to be
// matched and has lost some. All others are the last thing that it yields.
func (t *Topic) List(ctx context.Context, f Filter, after bus.Position) iter.Seq2[Letter, error] {
	return t.list(ctx, f, after, f.Data != "")
}

func (t *Topic) list(ctx context.Context, f Filter, after bus.Position, withData bool) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		r := bus.Range{From: bus.From{After: after}, Until: bus.Until{Time: f.Until}, HeadersOnly: !withData}
		if after == (bus.Position{}) {
			r.From.Time = f.Since
		}
		for s, err := range t.reader.Read(ctx, t.name, r) {
			if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
				continue // Letters that were redriven meanwhile, too, are gone from the beginning.
			}
			var l *Letter
			if err == nil {
				l, err = t.selectLetter(ctx, &f, &s, withData)
			} else {
				err = fmt.Errorf("dead-letter topic %q: %w", t.name, err)
			}
			switch goesOn := errors.Is(err, consumer.ErrNotLetter) || errors.Is(err, consumer.ErrLetterPart); {
			case err != nil && (!yield(Letter{Position: s.At}, err) || !goesOn):
				return
			case l != nil && !yield(*l, nil):
				return
			}
		}
	}
}

// selectLetter returns the letter that was read; nil: it is a part of one, is gone, or was not
// selected.
func (t *Topic) selectLetter(ctx context.Context, f *Filter, s *bus.Stored, withData bool) (*Letter, error) {
	if s.Malformed != nil && !withData {
		// Its headers may be in its data.
		e, err := t.finder.Get(ctx, s.At)
		if errors.Is(err, bus.ErrNoEvent) {
			return nil, nil //nolint:nilnil // it is gone
		}
		*s, withData = bus.Stored{Event: e, At: s.At, Malformed: err}, true
	}
	if s.Malformed != nil {
		return nil, fmt.Errorf("%w: sequence %d of %q: %w", consumer.ErrNotLetter, s.At.Sequence, t.name, s.Malformed)
	}
	if f.rejects(&s.Event) {
		return nil, nil //nolint:nilnil // not selected
	}
	parsed, err := consumer.ParseLetter(s.Event)
	if errors.Is(err, consumer.ErrLetterPart) {
		return nil, nil //nolint:nilnil // a part
	}
	if err != nil {
		return nil, err
	}
	l := &Letter{Letter: *parsed, Position: s.At, loaded: withData && parsed.Parts == 0}
	if !f.matchesReason(l) {
		return nil, nil //nolint:nilnil // not selected
	}
	if l.Parts > 0 && f.needsEvent() {
		if err := t.Load(ctx, l); errors.Is(err, bus.ErrNoEvent) {
			return nil, nil //nolint:nilnil // it is gone
		} else if err != nil {
			return nil, err
		}
	}
	if !f.matches(l) {
		return nil, nil //nolint:nilnil // not selected
	}
	return l, nil
}
