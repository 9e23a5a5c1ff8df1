package explain

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/onceish/onceish/bus"
)

// findSequence learns whether the topic has a stream, and the id of the event under Query.Sequence.
func (b *storyBuilder) findSequence(ctx context.Context) error {
	has, err := hasStream(ctx, b.bus, b.q.Topic)
	b.noStream = !has
	if b.q.Sequence == 0 || err != nil || b.noStream {
		return err
	}
	from, err := b.sources.after(ctx, b.bus, b.q.Topic, b.q.Sequence-1)
	if err != nil {
		return err
	}
	for stored, err := range b.bus.Read(ctx, b.q.Topic, bus.Range{From: from, Partitions: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return err
		}
		if stored.At.Sequence != b.q.Sequence {
			break
		}
		b.nameCopy(&stored)
		return nil
	}
	return fmt.Errorf("sequence %d: %w on this topic", b.q.Sequence, bus.ErrNoEvent)
}

// nameCopy makes a copy that the query names the one that the story is about.
func (b *storyBuilder) nameCopy(stored *bus.Stored) {
	b.story.ID, b.story.Source, b.named = stored.Event.ID, stored.Event.Source, stored.At.Sequence
	if control, err := stored.Event.Control(); err == nil {
		b.scope = control.Again
	}
}

// findNamedLetter learns the event's id from the letter that the query names, or from the copy that
// was redriven from it.
func (b *storyBuilder) findNamedLetter(ctx context.Context) error {
	letters, err := b.listLetters(ctx, b.q.Letter)
	if err != nil {
		return err
	}
	for i := range letters {
		if l := &letters[i]; l.ID == b.q.Letter {
			b.story.ID, b.story.Source = l.Event.ID, l.Event.Source
			b.named, b.scope = l.At.Sequence, l.Again
			return nil
		}
	}
	found, err := b.findRedriven(ctx)
	if err == nil && !found {
		err = fmt.Errorf("letter %.128q: %w: it is not among the dead letters of the topic and group, and no copy on the topic was redriven from it", b.q.Letter, bus.ErrNoEvent)
	}
	return err
}

// findRedriven learns the event's id from the copy that was redriven from the letter which the
// query names.
func (b *storyBuilder) findRedriven(ctx context.Context) (found bool, err error) {
	if b.noStream {
		return false, nil
	}
	for stored, err := range b.bus.Read(ctx, b.q.Topic, bus.Range{From: bus.From{Time: b.q.From}, Partitions: true, HeadersOnly: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return false, err
		}
		b.countRead()
		if letter, err := url.PathUnescape(stored.Event.Headers.Get(bus.HeaderRedriven)); err != nil || letter != b.q.Letter {
			continue
		}
		e, err := b.bus.Get(ctx, stored.At)
		if errors.Is(err, bus.ErrNoEvent) {
			continue
		}
		if err != nil {
			return false, err
		}
		if control, err := e.Control(); err != nil || control.Redriven != b.q.Letter {
			continue // it is another event's
		}
		stored.Event = e
		b.nameCopy(&stored)
		return true, nil
	}
	return false, nil
}
