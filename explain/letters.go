package explain

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/cloudevents"
)

// findLetters finds the event's dead letters that are stored. With Query.Letter it learns the
// event's id first.
func (b *storyBuilder) findLetters(ctx context.Context) error {
	if b.q.Letter != "" {
		if err := b.findNamedLetter(ctx); err != nil {
			return err
		}
	}
	if b.sources.Letters == nil {
		b.addMissing("whether it has a dead letter is not known, because the dead-letter topic was not named")
		return nil
	}
	letters, err := b.listLetters(ctx, b.story.ID)
	if err != nil {
		return err
	}
	for i := range letters {
		l := &letters[i]
		if l.Event.ID != b.story.ID || b.story.Source != "" && cloudevents.SourceOf(&l.Event) != cloudevents.SourceOf(b.event()) {
			continue
		}
		b.letters = append(b.letters, *l)
	}
	if l := b.ownLetter(); l != nil {
		b.story.Key = l.Event.Key
	}
	return nil
}

// addLetters adds the lines of the letters.
func (b *storyBuilder) addLetters() {
	for i := range b.letters {
		l := &b.letters[i]
		line := Line{Source: FromLetter, Scope: l.Again, Letter: l.ID, Position: l.Position.String()}
		if l.Edited != "" {
			line.Time, line.Event = l.Position.Stored, "edited"
			line.Text = fmt.Sprintf("letter %s was edited: %s supersedes it", clip(l.Edited), clip(l.ID))
			b.addLine(line)
			continue
		}
		line.Time, line.after, line.Event, line.Attempt, line.Error = l.Died, b.claimedAfter(l.At.Stored, l.Again), "dead-lettered", l.Attempts, l.Error
		line.Text = fmt.Sprintf("sequence %d%s was dead-lettered as %s after %d attempts and %d crashes: %s", l.At.Sequence, inScope(l.Again), clip(l.ID), l.Attempts, l.Crashes, clip(l.Reason))
		b.addLine(line)
	}
}

// ownLetter is the last letter of the event itself; nil: there is none. Others are those of its
// other scopes, and of events that were published under an id that was used before: they are the
// event's own only if the query names them.
func (b *storyBuilder) ownLetter() *deadletter.Letter {
	for i := len(b.letters) - 1; i >= 0; i-- {
		l := &b.letters[i]
		named := b.named > 0 && l.At.Sequence == b.named
		if b.q.Letter != "" && !named {
			continue
		}
		if key, err := l.DedupeKey(); err != nil || key.Scope == dedupe.AgainScope(b.scope) || named {
			return l
		}
	}
	return nil
}

// letterOf is the last letter of a key; nil: there is none.
func (b *storyBuilder) letterOf(key dedupe.Key) *deadletter.Letter {
	for i := len(b.letters) - 1; i >= 0; i-- {
		if of, err := b.letters[i].DedupeKey(); err == nil && of == key {
			return &b.letters[i]
		}
	}
	return nil
}

// listLetters lists letters of the group and topic with an id, which is an event's or a letter's.
func (b *storyBuilder) listLetters(ctx context.Context, id string) (all []deadletter.Letter, err error) {
	if b.sources.Letters == nil {
		return nil, nil
	}
	f := deadletter.Filter{Group: b.sources.Group.Name, Topic: b.q.Topic, ID: id}
	for l, err := range b.sources.Letters.List(ctx, f, bus.Position{}) {
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
