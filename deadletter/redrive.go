package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// deletesAtOnce is how many letters are deleted at the same time.
const deletesAtOnce = 64

// Redrive publishes the events of letters again, in their order, for the group that gave them up,
// or for toGroup where that is not empty; the group's marks must be in the store. It returns one
// error for each letter, nil for those that are redriven: their events are stored and the letters
// deleted. It blocks for a few round trips, does not retry, and may be repeated with any of the
// letters; see "Delivery semantics". A letter that is gone is bus.ErrNoEvent: somebody else has
// redriven or dropped it.
func (t *Topic) Redrive(ctx context.Context, store dedupe.Reopener, toGroup string, letters ...Letter) []error {
	letters = slices.Clone(letters)
	errs := make([]error, len(letters))
	keys := make([]dedupe.Key, len(letters))
	for i := range letters {
		if errs[i] = t.Load(ctx, &letters[i]); errs[i] == nil {
			keys[i], errs[i] = letters[i].DedupeKey()
			keys[i].Group = cmp.Or(toGroup, keys[i].Group)
		}
	}
	eachWithout(errs, "reopen its row", func(todo []int) ([]error, error) {
		return store.Reopen(ctx, pick(keys, todo))
	})
	copies := make([]bus.Event, len(letters))
	for i := range letters {
		copies[i] = letters[i].redrivenCopy(toGroup)
	}
	eachWithout(errs, "publish its event", func(todo []int) ([]error, error) {
		receipts, err := t.bus.Publish(ctx, pick(copies, todo)...)
		if len(receipts) != len(todo) {
			return nil, cmp.Or(err, errors.New("the bus did not answer"))
		}
		out := make([]error, len(todo))
		for i := range receipts {
			out[i] = receipts[i].Err
		}
		return out, nil
	})
	eachWithout(errs, "delete it, though its event was published", func(todo []int) ([]error, error) {
		return t.deleteLetters(ctx, pick(letters, todo)), nil
	})
	for i := range errs {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("redrive letter %.128q: %w", letters[i].ID, errs[i])
		}
	}
	return errs
}

// redrivenCopy is the letter's event as it is published again. Its message id follows from the
// letter, and from the group where that is another one. An event that ran again stays in its scope.
func (l *Letter) redrivenCopy(toGroup string) bus.Event {
	control := bus.Control{Redriven: l.ID, Group: cmp.Or(toGroup, l.Group), Again: l.Again}
	if control.Group != l.Group {
		control.Copy = control.Group
	}
	return l.Event.WithControl(control)
}

// Drop deletes letters for good, with their parts. It returns one error for each letter, nil for
// those that are gone. Their events stay given up: the group's marks are not touched. It may be
// repeated.
func (t *Topic) Drop(ctx context.Context, letters ...Letter) []error {
	letters = slices.Clone(letters)
	errs := make([]error, len(letters))
	for i := range letters {
		l := &letters[i]
		if l.Parts == 0 {
			continue
		}
		// One that has lost parts, or is gone, is dropped all the same.
		if err := t.Load(ctx, l); !errors.Is(err, consumer.ErrLetterPart) && !errors.Is(err, bus.ErrNoEvent) {
			errs[i] = err
		}
	}
	eachWithout(errs, "drop", func(todo []int) ([]error, error) {
		return t.deleteLetters(ctx, pick(letters, todo)), nil
	})
	return errs
}

// deleteLetters deletes each letter, and then its parts: without the letter they are nothing.
func (t *Topic) deleteLetters(ctx context.Context, letters []Letter) []error {
	errs := make([]error, len(letters))
	slots := make(chan struct{}, deletesAtOnce)
	var deleting sync.WaitGroup
	for i := range letters {
		slots <- struct{}{}
		deleting.Go(func() {
			defer func() { <-slots }()
			for _, at := range append([]bus.Position{letters[i].Position}, letters[i].parts...) {
				if errs[i] = t.deleter.DeleteEvent(ctx, at); errs[i] != nil {
					return
				}
			}
		})
	}
	deleting.Wait()
	return errs
}

// eachWithout does a step for all that have no error yet. What the step returns for all is that of
// each.
func eachWithout(errs []error, doing string, step func(todo []int) ([]error, error)) {
	var todo []int
	for i := range errs {
		if errs[i] == nil {
			todo = append(todo, i)
		}
	}
	if len(todo) == 0 {
		return
	}
	each, err := step(todo)
	for i, at := range todo {
		itsOwn := err
		if i < len(each) {
			itsOwn = errors.Join(each[i], err)
		}
		if itsOwn != nil {
			errs[at] = fmt.Errorf("%s: %w", doing, itsOwn)
		}
	}
}

func pick[T any](all []T, at []int) []T {
	out := make([]T, len(at))
	for i := range at {
		out[i] = all[at[i]]
	}
	return out
}
