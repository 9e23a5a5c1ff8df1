package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
)

// edit wants an edit to succeed, and returns the ID of the letter that it has stored.
func (w *harness) edit(l *deadletter.Letter, data string) string {
	w.t.Helper()
	id, err := w.topic.Edit(w.t.Context(), *l, deadletter.Edit{Data: []byte(data)})
	must(w.t, err)
	return id
}

// ranWith wants the last run of an event that succeeded to have had this data.
func (w *harness) ranWith(id, data string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.data[id]; got != data {
		w.t.Errorf("event %q ran with %.40q; want %.40q", id, got, data)
	}
}

func TestEditedEventRunsOnceAndNoLetterOfItIsLeft(t *testing.T) {
	for name, size := range map[string]int{"small": 1, "in parts": 1<<20 - 200} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.subscribe("billing", nil)
				original := order("1")
				original.Data = bytes.Repeat([]byte("a"), size)
				w.publish(original, order("2"))
				w.settle()
				w.mend(true)
				l := w.list(deadletter.Filter{ID: "1"})[0]
				first := w.edit(&l, string(bytes.Repeat([]byte("b"), size)))
				edited := w.list(deadletter.Filter{ID: first})[0]
				fixed := string(bytes.Repeat([]byte("c"), size))
				id, err := w.topic.Edit(w.t.Context(), edited, deadletter.Edit{Data: []byte(fixed), Headers: bus.Headers{"Tenant": nil, "Fixed": {"yes"}}})
				must(t, err)
				if got := w.list(deadletter.Filter{ID: id}); len(got) != 1 || got[0].Edited != l.ID || got[0].Group != "billing" || got[0].Error != l.Error {
					t.Errorf("the letter of the edit is %+v", got)
				}
				n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, nil)
				if err != nil || n != (deadletter.Bulk{Done: 2, Superseded: 2}) {
					t.Errorf("RedriveAll: %+v, %v; want 2 done, and 2 superseded", n, err)
				}
				w.handledOnce("billing", "1", "2")
				w.ranWith("1", fixed)
				if n := w.count("dead.>"); n > 0 {
					t.Errorf("%d letters or parts are left", n)
				}
			})
		})
	}
}

func TestSameEditTwiceIsOneLetter(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		l := w.list(deadletter.Filter{})[0]
		if id := w.edit(&l, `{"order":"1"}`); id != l.ID {
			t.Errorf("an edit that changes nothing has stored letter %q", id)
		}
		id := w.edit(&l, "b")
		time.Sleep(time.Hour) // The bus forgets message ids.
		if again := w.edit(&l, "b"); again != id {
			t.Errorf("the same edit has stored letters %q and %q", id, again)
		}
		if n := w.count("dead.>"); n != 2 {
			t.Errorf("the topic has %d letters; want the original and one edit", n)
		}
	})
}

func TestLetterThatWasEditedIsNotRedrivenUntilTheEditIsDropped(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(true)
		l := w.list(deadletter.Filter{})[0]
		id := w.edit(&l, "b")
		err := w.topic.Redrive(w.t.Context(), w.store, "", l)[0]
		if !errors.Is(err, deadletter.ErrSuperseded) {
			t.Errorf("Redrive of what was edited: %v; want ErrSuperseded", err)
		}
		if _, err := w.topic.Edit(w.t.Context(), l, deadletter.Edit{Data: []byte("c")}); !errors.Is(err, deadletter.ErrSuperseded) {
			t.Errorf("another Edit of what was edited: %v; want ErrSuperseded", err)
		}
		w.handledOnce("billing")
		letters := w.list(deadletter.Filter{})
		must(t, w.topic.FindEdits(w.t.Context(), letters))
		if len(letters) != 2 || letters[0].SupersededBy != id || letters[1].SupersededBy != "" {
			t.Errorf("listed as %+v; want the first to be superseded by %q", letters, id)
		}
		must(t, errors.Join(w.topic.Drop(w.t.Context(), letters[1])...))
		w.redrive()
		w.handledOnce("billing", "1")
		w.ranWith("1", `{"order":"1"}`)
	})
}

// The bus still remembers the id of the edit that was dropped.
func TestEditThatWasDroppedCanBeMadeAgain(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(true)
		l := w.list(deadletter.Filter{})[0]
		for range 2 {
			id := w.edit(&l, "b")
			must(t, errors.Join(w.topic.Drop(w.t.Context(), w.list(deadletter.Filter{ID: id})...)...))
		}
		w.edit(&l, "b")
		if n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, nil); err != nil || n.Done != 1 {
			t.Errorf("RedriveAll: %+v, %v; want the edit to be redriven", n, err)
		}
		w.handledOnce("billing", "1")
		w.ranWith("1", "b")
	})
}

// A letter that has lost a part stays, says which one it is, and can still be dropped.
func TestLetterThatHasLostAPartIsNotRedrivenOrEdited(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		large := order("large")
		large.Data = bytes.Repeat([]byte("a"), 1<<20-200)
		w.publish(large, order("2"))
		w.settle()
		w.mend(true)
		letters := w.list(deadletter.Filter{})
		for s, err := range w.bus.Read(w.t.Context(), "dead.billing", bus.Range{}) {
			must(t, err)
			if s.Event.ID != letters[0].ID {
				must(t, w.bus.DeleteEvents(w.t.Context(), []bus.Position{s.At})[0])
				break
			}
		}
		if _, err := w.topic.Edit(w.t.Context(), letters[0], deadletter.Edit{Data: []byte("b")}); !errors.Is(err, consumer.ErrLetterPart) {
			t.Errorf("Edit: %v; want ErrLetterPart", err)
		}
		n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, &deadletter.BulkOptions{Failed: func(_ *deadletter.Letter, err error) {
			if !errors.Is(err, consumer.ErrLetterPart) || !strings.Contains(err.Error(), "is missing") {
				t.Errorf("Redrive: %v; want ErrLetterPart, and what is missing", err)
			}
		}})
		if err != nil || n != (deadletter.Bulk{Done: 1, Failed: 1}) {
			t.Errorf("RedriveAll: %+v, %v; want one done, and one failed", n, err)
		}
		w.handledOnce("billing", "2")
		must(t, errors.Join(w.topic.Drop(w.t.Context(), letters[0])...))
		if n := w.count("dead.>"); n > 0 {
			t.Errorf("%d letters or parts are left", n)
		}
	})
}

// meanwhile is a bus on which something happens just before each event is published.
type meanwhile struct {
	abilities

	happens func()
}

type abilities interface {
	bus.Bus
	bus.Reader
	bus.Finder
	bus.Deleter
}

func (b meanwhile) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	b.happens()
	return b.abilities.Publish(ctx, es...)
}

func TestEditOfALetterThatIsRedrivenMeanwhileLeavesNoLetter(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(true)
		topic, err := deadletter.OpenTopic(meanwhile{w.bus, w.redrive}, "dead.billing")
		must(t, err)
		if _, err := topic.Edit(w.t.Context(), w.list(deadletter.Filter{})[0], deadletter.Edit{Data: []byte("b")}); !errors.Is(err, bus.ErrNoEvent) {
			t.Errorf("Edit: %v; want ErrNoEvent", err)
		}
		w.handledOnce("billing", "1")
		if n := w.count("dead.>"); n > 0 {
			t.Errorf("%d letters are left", n)
		}
	})
}

func TestOfTwoEditsAtOnceTheLastOneIsRedriven(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		l := w.list(deadletter.Filter{})[0]
		other := w.topic
		var theirs error
		topic, err := deadletter.OpenTopic(meanwhile{w.bus, func() {
			_, theirs = other.Edit(w.t.Context(), l, deadletter.Edit{Data: []byte("b")})
		}}, "dead.billing")
		must(t, err)
		_, ours := topic.Edit(w.t.Context(), l, deadletter.Edit{Data: []byte("c")})
		if theirs != nil || ours != nil {
			t.Errorf("Edit of what was edited meanwhile: %v and %v", theirs, ours)
		}
		w.mend(true)
		n, err := w.topic.RedriveAll(w.t.Context(), w.store, deadletter.Filter{}, nil)
		if err != nil || n != (deadletter.Bulk{Done: 1, Superseded: 2}) {
			t.Errorf("RedriveAll: %+v, %v; want one of three to be redriven", n, err)
		}
		w.handledOnce("billing", "1")
		w.ranWith("1", "c")
	})
}

// killed is a bus and a store of a process that ends before, or after, one of its steps: a single
// event that is published, deleted or reopened.
type killed struct {
	abilities
	dedupe.Reopener

	steps int // that are left; below 0: the process is over
	after bool
}

var errKilled = errors.New("killed")

// step reports whether a step is done, and whether that is known.
func (k *killed) step() (done, known bool) {
	k.steps--
	return k.steps > 0 || k.steps == 0 && k.after, k.steps > 0
}

func (k *killed) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	receipts, errs := make([]bus.Receipt, len(es)), make([]error, len(es))
	for i := range es {
		done, known := k.step()
		if done {
			r, _ := k.abilities.Publish(ctx, es[i])
			receipts[i] = r[0]
		}
		if !known {
			receipts[i].Err, errs[i] = errKilled, errKilled
		}
	}
	return receipts, errors.Join(errs...)
}

func (k *killed) DeleteEvents(ctx context.Context, at []bus.Position) []error {
	errs := make([]error, len(at))
	for i := range at {
		done, known := k.step()
		if done {
			errs[i] = k.abilities.DeleteEvents(ctx, at[i:i+1])[0]
		}
		if !known {
			errs[i] = errKilled
		}
	}
	return errs
}

func (k *killed) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	for i := range keys {
		done, known := k.step()
		if done {
			_, _ = k.Reopener.Reopen(ctx, keys[i:i+1])
		}
		if !known {
			return nil, errKilled
		}
	}
	return make([]error, len(keys)), nil
}

// An edit and a redrive are killed before or after every single step, and run again, by who knows
// only what is stored: every event runs once, the edited ones with their new data.
func TestEditAndRedriveKilledAtAnyStepAndRunAgainRunEachEventOnce(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for steps, over := 1, false; !over; steps++ {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(t)
				large := order("large")
				large.Data = bytes.Repeat([]byte("a"), 1<<20-200)
				w.subscribe("billing", nil)
				w.publish(order("1"), large, order("3"))
				w.settle()
				w.mend(true)
				k := &killed{abilities: w.bus, Reopener: w.store, steps: steps, after: after}
				topic, err := deadletter.OpenTopic(k, "dead.billing")
				must(t, err)
				over = editAndRedrive(w, topic, k) == nil
				if steps%2 == 0 {
					time.Sleep(time.Hour) // The bus forgets message ids.
				}
				must(t, editAndRedrive(w, w.topic, w.store))
				w.handledOnce("billing", "1", "large", "3")
				w.ranWith("1", "c")
				w.ranWith("large", "small")
				if letters := w.list(deadletter.Filter{}); len(letters) > 0 {
					t.Errorf("killed at step %d: letters of %q are left", steps, ids(letters))
				}
			})
			if steps > 100 {
				t.Fatal("it never ends")
			}
		}
	}
}

// editAndRedrive edits what is not edited yet, and redrives all.
func editAndRedrive(w *harness, topic *deadletter.Topic, store dedupe.Reopener) error {
	for _, change := range []struct{ id, from, to string }{{"1", `{"order":"1"}`, "b"}, {"1", "b", "c"}, {"large", "", "small"}} {
		letters := w.list(deadletter.Filter{ID: change.id})
		must(w.t, w.topic.FindEdits(w.t.Context(), letters))
		letters = slices.DeleteFunc(letters, func(l deadletter.Letter) bool { return l.SupersededBy != "" })
		if len(letters) == 0 {
			continue // It is redriven.
		}
		must(w.t, w.topic.Load(w.t.Context(), &letters[0]))
		if from := string(letters[0].Event.Data); change.from != "" && from != change.from {
			continue
		}
		if _, err := topic.Edit(w.t.Context(), letters[0], deadletter.Edit{Data: []byte(change.to)}); err != nil {
			return err
		}
	}
	n, err := topic.RedriveAll(w.t.Context(), store, deadletter.Filter{}, nil)
	if err == nil && n.Failed > 0 {
		err = errKilled
	}
	return err
}

func TestEditRefusesHeadersThatAreNoEventsOwn(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		l := w.list(deadletter.Filter{})[0]
		for _, name := range []string{bus.HeaderGroup, "onceish-again", "Onceish-Dead-Reason", "Nats-TTL"} {
			_, err := w.topic.Edit(w.t.Context(), l, deadletter.Edit{Headers: bus.Headers{name: {"x"}}})
			if !errors.Is(err, bus.ErrInvalidEvent) || !strings.Contains(err.Error(), name) {
				t.Errorf("Edit that sets %s: %v; want ErrInvalidEvent", name, err)
			}
		}
		if n := w.count("dead.>"); n != 1 {
			t.Errorf("the topic has %d letters; want the original alone", n)
		}
	})
}
