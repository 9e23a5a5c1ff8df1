package explain

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/cloudevents"
)

// findLetters finds the event's dead letters that are stored. With Query.Letter it learns the
// event's id first.
func (t *teller) findLetters(ctx context.Context) error {
	if t.q.Letter != "" {
		if err := t.findNamedLetter(ctx); err != nil {
			return err
		}
	}
	if t.sources.Letters == nil {
		t.addMissing("whether it has a dead letter is not known, because the dead-letter topic was not named")
		return nil
	}
	letters, err := t.listLetters(ctx, t.story.ID)
	if err != nil {
		return err
	}
	for i := range letters {
		l := &letters[i]
		if l.Event.ID != t.story.ID || t.story.Source != "" && cloudevents.SourceOf(&l.Event) != cloudevents.SourceOf(t.event()) {
			continue
		}
		t.letters = append(t.letters, *l)
	}
	if l := t.ownLetter(); l != nil {
		t.story.Key = l.Event.Key
	}
	return nil
}

// findNamedLetter learns the event's id from the letter that the query names, or from the copy that
// was redriven from it.
func (t *teller) findNamedLetter(ctx context.Context) error {
	letters, err := t.listLetters(ctx, t.q.Letter)
	if err != nil {
		return err
	}
	for i := range letters {
		if l := &letters[i]; l.ID == t.q.Letter {
			t.story.ID, t.story.Source = l.Event.ID, l.Event.Source
			t.named, t.scope = l.At.Sequence, l.Again
			return nil
		}
	}
	found, err := t.findRedriven(ctx)
	if err == nil && !found {
		err = fmt.Errorf("letter %.128q: %w: it is not among the dead letters of the topic and group, and no copy on the topic was redriven from it", t.q.Letter, bus.ErrNoEvent)
	}
	return err
}

// findRedriven learns the event's id from the copy that was redriven from the letter which the
// query names.
func (t *teller) findRedriven(ctx context.Context) (found bool, err error) {
	if t.noStream {
		return false, nil
	}
	for stored, err := range t.bus.Read(ctx, t.q.Topic, bus.Range{From: bus.From{Time: t.q.From}, HeadersOnly: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return false, err
		}
		t.countRead()
		if letter, err := url.PathUnescape(stored.Event.Headers.Get(bus.HeaderRedriven)); err != nil || letter != t.q.Letter {
			continue
		}
		e, err := t.bus.Get(ctx, stored.At)
		if errors.Is(err, bus.ErrNoEvent) {
			continue
		}
		if err != nil {
			return false, err
		}
		if control, err := e.Control(); err != nil || control.Redriven != t.q.Letter {
			continue // it is another event's
		}
		stored.Event = e
		t.nameCopy(&stored)
		return true, nil
	}
	return false, nil
}

// addLetters tells of the letters.
func (t *teller) addLetters() {
	for i := range t.letters {
		l := &t.letters[i]
		line := Line{Source: FromLetter, Scope: l.Again, Letter: l.ID, Position: l.Position.String()}
		if l.Edited != "" {
			line.Time, line.Event = l.Position.Stored, "edited"
			line.Text = fmt.Sprintf("letter %s was edited: %s supersedes it", clip(l.Edited), clip(l.ID))
			t.addLine(line)
			continue
		}
		line.Time, line.after, line.Event, line.Attempt, line.Error = l.Died, l.At.Stored, "dead-lettered", l.Attempts, l.Error
		line.Text = fmt.Sprintf("sequence %d%s was dead-lettered as %s after %d attempts and %d crashes: %s", l.At.Sequence, inScope(l.Again), clip(l.ID), l.Attempts, l.Crashes, clip(l.Reason))
		t.addLine(line)
	}
}

// ownLetter is the last letter of the event itself; nil: there is none. Others are those of its
// other scopes, and of events that were published under an id that was used before: they are the
// event's own only if the query names them.
func (t *teller) ownLetter() *deadletter.Letter {
	for i := len(t.letters) - 1; i >= 0; i-- {
		l := &t.letters[i]
		named := t.named > 0 && l.At.Sequence == t.named
		if t.q.Letter != "" && !named {
			continue
		}
		if key, err := l.DedupeKey(); err != nil || key.Scope == dedupe.AgainScope(t.scope) || named {
			return l
		}
	}
	return nil
}

// letterOf is the last letter of a key; nil: there is none.
func (t *teller) letterOf(key dedupe.Key) *deadletter.Letter {
	for i := len(t.letters) - 1; i >= 0; i-- {
		if of, err := t.letters[i].DedupeKey(); err == nil && of == key {
			return &t.letters[i]
		}
	}
	return nil
}

// listLetters lists letters of the group and topic with an id, which is an event's or a letter's.
func (t *teller) listLetters(ctx context.Context, id string) (all []deadletter.Letter, err error) {
	if t.sources.Letters == nil {
		return nil, nil
	}
	f := deadletter.Filter{Group: t.sources.Group.Name, Topic: t.q.Topic, ID: id}
	for l, err := range t.sources.Letters.List(ctx, f, bus.Position{}) {
		switch {
		case errors.Is(err, bus.ErrNoStream):
			return nil, nil // nothing was ever given up
		case errors.Is(err, consumer.ErrNotLetter), errors.Is(err, consumer.ErrLetterPart):
			continue
		case err != nil:
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}
