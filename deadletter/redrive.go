package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Redrive publishes the events of letters again, in their order, for the group that gave them up,
// or for toGroup where that is not empty; the group's marks must be in the store. The letters are
// those of one list, in its order. It returns one error for each letter, nil for those that are
// redriven: their events are stored and the letters deleted, with those that they supersede. It
// blocks for a few round trips, does not retry, and may be repeated with any of the letters; see
// "Delivery semantics". A letter that is gone is bus.ErrNoEvent: somebody else has redriven or
// dropped it. One that was edited since is ErrSuperseded.
func (t *Topic) Redrive(ctx context.Context, store dedupe.Reopener, toGroup string, letters ...Letter) []error {
	r := &redrive{t: t, store: store, toGroup: toGroup, edits: edits{t: t}}
	errs, finish := r.publishCopies(ctx, letters)
	finish()
	return errs
}

// redrive is what the batches of one redrive share. It is not safe for concurrent use.
type redrive struct {
	t       *Topic
	store   dedupe.Reopener
	toGroup string
	edits   edits
}

// publishCopies does what comes before the deletes. finish deletes the letters whose copies are
// stored, and may run while the next batch is published.
func (r *redrive) publishCopies(ctx context.Context, letters []Letter) (errs []error, finish func()) {
	letters = slices.Clone(letters)
	errs = make([]error, len(letters))
	keys := make([]dedupe.Key, len(letters))
	for i := range letters {
		if errs[i] = r.t.Load(ctx, &letters[i]); errs[i] == nil {
			keys[i], errs[i] = letters[i].DedupeKey()
			keys[i].Group = cmp.Or(r.toGroup, keys[i].Group)
		}
	}
	superseded := r.findSuperseded(ctx, letters, errs)
	eachWithout(errs, "reopen its row", func(todo []int) ([]error, error) {
		return r.store.Reopen(ctx, pick(keys, todo))
	})
	copies := make([]bus.Event, len(letters))
	for i := range letters {
		copies[i] = r.t.layout.Place(letters[i].redrivenCopy(r.toGroup))
	}
	eachWithout(errs, "publish its event", func(todo []int) ([]error, error) {
		batch := pick(copies, todo)
		receipts, err := r.t.bus.Publish(ctx, batch...)
		bus.RestoreDuplicates(ctx, r.t.bus, batch, receipts) // the letter goes only if its event is there
		if len(receipts) != len(todo) {
			return nil, cmp.Or(err, errors.New("the bus did not answer"))
		}
		out := make([]error, len(todo))
		for i := range receipts {
			out[i] = receipts[i].Err
		}
		return out, nil
	})
	return errs, func() { r.t.deleteRedriven(ctx, letters, superseded, errs) }
}

// findSuperseded returns for each letter those that it supersedes. One that is superseded itself
// gets an error.
func (r *redrive) findSuperseded(ctx context.Context, letters []Letter, errs []error) map[int][]Letter {
	superseded := make(map[int][]Letter)
	eachWithout(errs, "look for edits of it", func(todo []int) ([]error, error) {
		if err := r.edits.refresh(ctx, letters); err != nil {
			return nil, err
		}
		out := make([]error, len(todo))
		for n, i := range todo {
			if by := r.edits.supersededBy(&letters[i]); by != nil {
				out[n] = supersededError(&letters[i], by)
			} else if older := r.edits.superseded(&letters[i]); len(older) > 0 {
				superseded[i] = older
			}
		}
		return out, nil
	})
	return superseded
}

// deleteRedriven deletes the letters that have no error yet. What one supersedes goes first: if it
// outlived the edit it could be redriven.
func (t *Topic) deleteRedriven(ctx context.Context, letters []Letter, superseded map[int][]Letter, errs []error) {
	const doing = "delete it, though its event was published"
	for i, older := range superseded {
		if errs[i] != nil {
			continue
		}
		if err := errors.Join(t.Drop(ctx, older...)...); err != nil {
			errs[i] = fmt.Errorf("%s: delete what it supersedes: %w", doing, err)
		}
	}
	eachWithout(errs, doing, func(todo []int) ([]error, error) {
		return t.deleteLetters(ctx, pick(letters, todo)), nil
	})
	for i := range errs {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("redrive letter %.128q: %w", letters[i].ID, errs[i])
		}
	}
}

// redrivenCopy is the letter's event as it is published again. Its message id follows from the
// letter, and from the group where that is another one. An event that ran again stays in its scope.
func (l *Letter) redrivenCopy(toGroup string) bus.Event {
	control := bus.Control{Redriven: l.ID, Group: cmp.Or(toGroup, l.Group), Again: l.Again}
	if l.Edited == "" { // what an edit says is new
		control.Original = l.Original.String() // if it is zero the letter's id says it
	}
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

// deleteLetters deletes letters, and then their parts: without the letter they are nothing.
func (t *Topic) deleteLetters(ctx context.Context, letters []Letter) []error {
	at := make([]bus.Position, len(letters))
	for i := range letters {
		at[i] = letters[i].Position
	}
	errs := t.deleter.DeleteEvents(ctx, at)
	var parts []bus.Position
	var partOf []int
	for i := range letters {
		for _, part := range letters[i].parts {
			if errs[i] == nil {
				parts, partOf = append(parts, part), append(partOf, i)
			}
		}
	}
	if len(parts) == 0 {
		return errs
	}
	for n, err := range t.deleter.DeleteEvents(ctx, parts) {
		errs[partOf[n]] = errors.Join(errs[partOf[n]], err)
	}
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
