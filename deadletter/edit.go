package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/uuid7"
)

// Edit is a change of the event of a letter. The zero Edit changes nothing.
type Edit struct {
	// Data replaces the event's. Nil: it stays.
	Data []byte
	// Headers replace those of the event with the same names. A header without values is left out.
	Headers bus.Headers
}

// Edit stores a letter beside another one, with a changed event under the same identity, and
// returns its ID. The new letter supersedes the other one and all earlier edits of it: those are
// not redriven any more, and are deleted once the edit is. It is the ID of l where nothing is
// changed, and that of the letter that there is where the same edit was made before; both store
// nothing. ErrSuperseded is returned where l was edited otherwise, bus.ErrNoEvent where it is gone,
// also if it was redriven or dropped while the edit was stored: the edit is deleted again then. Any
// other error leaves l as it was; repeat the call. It blocks for some round trips and a search of
// the topic.
func (t *Topic) Edit(ctx context.Context, l Letter, change Edit) (id string, err error) {
	if err := change.validate(); err != nil {
		return "", fmt.Errorf("edit letter %.128q: %w", l.ID, err)
	}
	if err := t.Load(ctx, &l); err != nil {
		return "", err
	}
	event := change.apply(l.Event)
	if bytes.Equal(event.Data, l.Event.Data) && reflect.DeepEqual(event.Headers, l.Event.Headers) {
		return l.ID, nil
	}
	edited := Letter{Letter: l.WithEvent(event)}
	known := &edits{t: t}
	if err := known.refresh(ctx, []Letter{l}); err != nil {
		return "", err
	}
	switch by := known.supersededBy(&l); {
	case by != nil && by.ID == edited.ID:
		return edited.ID, nil
	case by != nil:
		return "", supersededError(&l, by)
	}
	// The bus may know the edit, and not have it: it was made before, and dropped or redriven.
	for _, anotherCopy := range []string{"", uuid7.New(time.Now())} {
		if err := t.storeLetter(ctx, &edited, anotherCopy); err != nil {
			return "", fmt.Errorf("edit letter %.128q: %w", l.ID, err)
		}
		if stored, err := t.confirmEdit(ctx, &l, &edited); stored || err != nil {
			return edited.ID, err
		}
	}
	return "", fmt.Errorf("letter %.128q was edited, and the edit was dropped meanwhile: %w", l.ID, bus.ErrNoEvent)
}

// validate refuses headers that mean something to a server or to Onceish: they would be dropped.
func (c *Edit) validate() error {
	for name := range c.Headers {
		if bus.ServerHeader(name) || strings.HasPrefix(strings.ToLower(name), "onceish-") {
			return fmt.Errorf("%w: header %.64q is none of an event: leave it out", bus.ErrInvalidEvent, name)
		}
	}
	return nil
}

func (c *Edit) apply(e bus.Event) bus.Event {
	if c.Data != nil {
		e.Data = c.Data
	}
	if len(c.Headers) > 0 {
		e.Headers = e.Headers.Clone()
		maps.Copy(e.Headers, c.Headers)
		maps.DeleteFunc(e.Headers, func(_ string, values []string) bool { return len(values) == 0 })
	}
	return e
}

// storeLetter publishes a letter, its parts first. One that names another copy is stored though the
// bus knows the letter.
func (t *Topic) storeLetter(ctx context.Context, l *Letter, anotherCopy string) error {
	info, err := t.bus.Topic(ctx, t.name, l.Group, bus.Start{})
	if err != nil {
		return err
	}
	parts, letter, err := l.Events(t.name, &info)
	if err != nil {
		return err
	}
	if anotherCopy != "" {
		for i := range parts {
			parts[i] = parts[i].WithControl(bus.Control{Letter: parts[i].ID, Copy: anotherCopy})
		}
		letter = letter.WithControl(bus.Control{Letter: letter.ID, Copy: anotherCopy})
	}
	if len(parts) > 0 {
		if _, err := t.bus.Publish(ctx, parts...); err != nil {
			return err
		}
	}
	_, err = t.bus.Publish(ctx, letter)
	return err
}

// confirmEdit makes sure that the letter was still there when its edit was stored, and that nobody
// has edited it otherwise at the same time. It reports whether the topic has the edit.
func (t *Topic) confirmEdit(ctx context.Context, l, edited *Letter) (stored bool, err error) {
	known := &edits{t: t}
	if err := known.refresh(ctx, []Letter{*l, *edited}); err != nil {
		return false, fmt.Errorf("letter %.128q was edited: %w", l.ID, err)
	}
	there := false
	var own []Letter
	for _, other := range known.families[l.originalID()] {
		there = there || other.ID == l.ID
		if other.ID == edited.ID {
			own = append(own, other)
		}
	}
	if !there {
		err := fmt.Errorf("letter %.128q was redriven or dropped while it was edited: %w", l.ID, bus.ErrNoEvent)
		return false, errors.Join(append([]error{err}, t.Drop(ctx, own...)...)...)
	}
	if by := known.supersededBy(edited); by != nil && (len(own) > 0 || by.ID != l.ID) {
		return true, supersededError(edited, by)
	}
	return len(own) > 0, nil
}

func supersededError(l, by *Letter) error {
	return fmt.Errorf("letter %.128q: %w, letter %.128q: redrive or edit that one, or drop it first", l.ID, ErrSuperseded, by.ID)
}
