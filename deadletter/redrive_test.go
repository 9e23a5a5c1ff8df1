package deadletter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/faulty"
)

func TestRedrivenEventIsHandledOnceAndItsLetterIsGone(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.subscribe("audit", nil)
		w.publish(order("1"), order("2"))
		w.settle()
		letters := w.list(deadletter.Filter{})
		if got := ids(letters); !slices.Equal(got, []string{"1", "2"}) {
			t.Fatalf("letters of %q; want 1 and 2", got)
		}
		w.mend(true)
		for range 3 { // However often, also by who has listed them before.
			for _, err := range w.topic.Redrive(w.t.Context(), w.store, "", letters...) {
				if err != nil && !errors.Is(err, bus.ErrNoEvent) {
					t.Error(err)
				}
			}
			time.Sleep(time.Hour) // The bus forgets message ids.
		}
		w.handledOnce("billing", "1", "2") // and not by audit, which gave them up too
		if rest := w.list(deadletter.Filter{}); len(rest) > 0 {
			t.Errorf("letters of %q are left", ids(rest))
		}
	})
}

// interrupted is a bus that fails around a step of a redrive.
type interrupted struct {
	*membus.Bus

	beforePublish, afterPublish, beforeDelete, afterDelete bool
}

var errInterrupted = errors.New("interrupted")

func (b *interrupted) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	if b.beforePublish {
		return nil, errInterrupted
	}
	receipts, err := b.Bus.Publish(ctx, es...)
	if b.afterPublish {
		return nil, errInterrupted
	}
	return receipts, err
}

func (b *interrupted) DeleteEvents(ctx context.Context, at []bus.Position) []error {
	errs := make([]error, len(at))
	if !b.beforeDelete {
		errs = b.Bus.DeleteEvents(ctx, at)
	}
	for i := range errs {
		if b.beforeDelete || b.afterDelete {
			errs[i] = errInterrupted
		}
	}
	return errs
}

func TestRedriveThatIsInterruptedBetweenAnyTwoStepsCanBeRepeated(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]*interrupted{
		"after reopening":   {beforePublish: true},
		"after publishing":  {afterPublish: true},
		"before deleting":   {beforeDelete: true},
		"after deleting":    {afterDelete: true},
		"without interrupt": {},
	} {
		for after, pause := range map[string]time.Duration{"at once": 0, "later": time.Hour} {
			t.Run(name+", "+after, func(t *testing.T) {
				inBubble(t, func(w *harness) {
					b := *b
					b.Bus = w.bus
					topic, err := deadletter.OpenTopic(&b, "dead.billing")
					must(t, err)
					w.subscribe("billing", nil)
					w.publish(order("1"))
					w.settle()
					w.mend(true)
					failed := errors.Join(topic.Redrive(w.t.Context(), w.store, "", w.list(deadletter.Filter{})...)...)
					if (failed != nil) != (name != "without interrupt") {
						t.Errorf("interrupted: %v", failed)
					}
					time.Sleep(pause)
					w.redrive()
					w.handledOnce("billing", "1")
					if n := w.count("dead.>"); n > 0 {
						t.Errorf("%d letters are left", n)
					}
					if n := w.count("order.>"); pause == 0 && n != 2 {
						t.Errorf("the topic has %d events; want the original and one copy", n)
					}
				})
			})
		}
	}
}

func TestTwoWhoRedriveAtOnceStoreOneCopy(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(true)
		letters := w.list(deadletter.Filter{})
		var redriving sync.WaitGroup
		for range 8 {
			redriving.Go(func() { w.topic.Redrive(w.t.Context(), w.store, "", letters...) })
		}
		redriving.Wait()
		w.handledOnce("billing", "1")
		if n := w.count("order.>"); n != 2 {
			t.Errorf("the topic has %d events; want the original and one copy", n)
		}
	})
}

func TestEventThatFailsAgainHasANewLetter(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		seen := map[string]bool{}
		for range 3 {
			letters := w.list(deadletter.Filter{})
			if len(letters) != 1 || seen[letters[0].ID] {
				t.Fatalf("letters %+v after %d; want one new one", letters, len(seen))
			}
			seen[letters[0].ID] = true
			w.redrive()
			w.settle()
		}
		w.mend(true)
		w.redrive()
		w.handledOnce("billing", "1")
	})
}

// TestEventThatFailsAgainHasALetterThoughItsFirstDeliveryWasNotAcked: a process that dies between
// the letter and the ack has the first delivery redelivered beside the redriven copy. It fails
// within the time in which the bus remembers the letter that the redrive has deleted.
func TestEventThatFailsAgainHasALetterThoughItsFirstDeliveryWasNotAcked(t *testing.T) {
	inBubble(t, func(w *harness) {
		dying := bustest.Faulty(w.bus, func(c faulty.Call) (f faulty.Fault) {
			if c == faulty.Ack {
				f.Before = errors.New("killed")
			}
			return f
		})
		failing := func(context.Context, bus.Event) error { return consumer.Permanent(errBroken) }
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), dying, "order.*", "billing", w.store, failing, &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		w.publish(order("1"))
		time.Sleep(time.Second)
		_ = s.Drain(w.t.Context()) // it cannot ack
		w.redrive()
		time.Sleep(35 * time.Second) // the ack wait is over
		w.subscribe("billing", nil)
		w.settle()
		if got := w.list(deadletter.Filter{}); len(got) == 0 {
			w.t.Fatal("the event failed again and has no letter: it is lost")
		}
		w.mend(true)
		w.redrive()
		w.handledOnce("billing", "1")
	})
}

func TestRedriveToAnotherGroupIsForThatGroupAlone(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"))
		w.settle()
		w.mend(true)
		w.subscribe("billing-v2", &consumer.Options{From: bus.Start{Latest: true}})
		for _, err := range w.topic.Redrive(w.t.Context(), w.store, "billing-v2", w.list(deadletter.Filter{})...) {
			must(t, err)
		}
		w.handledOnce("billing-v2", "1")
	})
}

// The row to reopen is that of Options.ID, and that of the payload where an event had no id.
func TestRedriveReopensTheRowWhateverItsKey(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", &consumer.Options{ID: func(e bus.Event) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.ID == "none" && !w.mended {
				return ""
			}
			return "order " + e.ID
		}})
		w.publish(order("1"), order("none"))
		w.settle()
		w.redrive() // The cause is not mended: nothing may be lost.
		w.settle()
		if got := ids(w.list(deadletter.Filter{})); len(got) != 2 {
			t.Fatalf("letters of %q; want 1 and none", got)
		}
		w.mend(true)
		w.redrive()
		w.handledOnce("billing", "1", "none")
	})
}

func TestLargeEventIsRedrivenWhole(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		large := order("large")
		large.Data = bytes.Repeat([]byte("x"), 1<<20-200)
		w.publish(order("small"), large)
		w.settle()
		for _, f := range []deadletter.Filter{{Type: "placed"}, {Data: "xxx", ID: "large"}, {Error: "tax"}} {
			if got := w.list(f); len(got) == 0 || f.ID != "" && (len(got) != 1 || len(got[0].Event.Data) != len(large.Data)) {
				t.Fatalf("%+v selects %q", f, ids(got))
			}
		}
		w.mend(true)
		w.redrive()
		w.handledOnce("billing", "small", "large")
		if n := w.count("dead.>"); n > 0 {
			t.Errorf("%d letters or parts are left", n)
		}
		var last bus.Event
		for s, err := range w.bus.Read(w.t.Context(), "order.>", bus.Range{}) {
			must(t, err)
			if s.Event.ID == "large" {
				last = s.Event
			}
		}
		if c, err := last.Control(); err != nil || c.Group != "billing" || c.Redriven == "" || !bytes.Equal(last.Data, large.Data) || last.Headers.Get("Tenant") != "a" {
			t.Errorf("redriven with control %+v, %v, and %d bytes of data", c, err, len(last.Data))
		}
	})
}

func TestDroppedLetterLeavesItsEventGivenUp(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		large := order("large")
		large.Data = bytes.Repeat([]byte("x"), 1<<20-200)
		w.publish(order("1"), large)
		w.settle()
		letters := w.list(deadletter.Filter{})
		w.mend(true)
		for range 2 {
			for _, err := range w.topic.Drop(w.t.Context(), letters...) {
				must(t, err)
			}
		}
		w.publish(order("1").WithControl(bus.Control{Copy: "1"}))
		w.handledOnce("billing")
		if n := w.count("dead.>"); n > 0 {
			t.Errorf("%d letters or parts are left", n)
		}
	})
}

// full is a store that reopens nothing of one event.
type full struct{ dedupe.Reopener }

func (s full) Reopen(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	errs, err := s.Reopener.Reopen(ctx, keys)
	for i, k := range keys {
		if k.ID == "2" {
			errs[i] = dedupe.ErrFull
		}
	}
	return errs, err
}

func TestLetterWhoseRowIsNotReopenedKeepsNoOtherFromBeingRedriven(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("billing", nil)
		w.publish(order("1"), order("2"), order("3"))
		w.settle()
		w.mend(true)
		errs := w.topic.Redrive(w.t.Context(), full{w.store}, "", w.list(deadletter.Filter{})...)
		if errs[0] != nil || !errors.Is(errs[1], dedupe.ErrFull) || errs[2] != nil {
			t.Errorf("Redrive: %v", errs)
		}
		w.handledOnce("billing", "1", "3")
		if rest := ids(w.list(deadletter.Filter{})); !slices.Equal(rest, []string{"2"}) {
			t.Errorf("letters of %q are left; want 2", rest)
		}
	})
}

// A redrive is killed before it deletes the letter, and the copy is purged: its event is the
// letter's alone.
func TestRedriveStoresAgainWhatWasPurged(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.subscribe("other", nil) // the group that is to handle it does not run
		w.publish(order("1"))
		w.settle()
		topic, err := deadletter.OpenTopic(w.bus, "dead.other")
		must(t, err)
		var letters []deadletter.Letter
		for l, err := range topic.List(w.t.Context(), deadletter.Filter{}, bus.Position{}) {
			must(t, err)
			letters = append(letters, l)
		}
		killed, err := deadletter.OpenTopic(&killed{abilities: w.bus, steps: 1, after: true}, "dead.other")
		must(t, err)
		if err := killed.Redrive(w.t.Context(), w.store, "late", letters...)[0]; !errors.Is(err, errKilled) {
			t.Fatalf("Redrive: %v; want it to be killed", err)
		}
		stream, _, _ := strings.Cut(letters[0].At.Stream, "@")
		must(t, w.bus.Purge(stream, "order.>"))
		must(t, topic.Redrive(w.t.Context(), w.store, "late", letters...)[0])
		if n := w.count("order.>"); n != 1 {
			t.Errorf("%d copies are stored; want one", n)
		}
	})
}
