package deferral_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/deferral"
)

// wantOnce wants each event to have run at once, or to be in one summary, but not both. So many
// runs may be repeated ones, because a process died between effect and mark.
func (w *world) wantOnce(t testing.TB, all []bus.Event, repeats int) {
	t.Helper()
	atOnce, summed := make(map[string]int), make(map[string]int)
	for _, id := range w.runs() {
		atOnce[id]++
	}
	for _, s := range w.sums() {
		for _, id := range s.ids {
			summed[id]++
		}
	}
	for _, e := range all {
		a, s := atOnce[e.ID], summed[e.ID]
		if a+s == 0 || a > 0 && s > 0 {
			t.Errorf("event %s: %d times at once and %d times in a summary, want one of both", e.ID, a, s)
		}
		repeats -= max(0, a+s-1)
	}
	if repeats < 0 {
		t.Errorf("%d more repeats than a crash explains; at once: %q", -repeats, w.runs())
	}
}

// wantOrder wants the events of each key in order, over all summaries. Repeats are left out.
func (w *world) wantOrder(t testing.TB) {
	t.Helper()
	perKey, seen := make(map[string][]string), make(map[string]bool)
	for _, s := range w.sums() {
		for _, id := range s.ids {
			if !seen[id] {
				perKey[s.key] = append(perKey[s.key], id)
			}
			seen[id] = true
		}
	}
	for key, ids := range perKey {
		if !slices.IsSorted(ids) {
			t.Errorf("key %s: summaries have %q, out of order", key, ids)
		}
	}
}

// A process that crashes at any step between the decision and the mark leaves the decision as it
// is: nothing is lost, and nothing is both at once and in a summary.
func TestADecisionSurvivesACrash(t *testing.T) {
	for _, at := range []string{"note", "publish deferred.billing", "settle", "answer"} {
		for _, after := range []bool{false, true} {
			for n := 1; n <= 4; n++ {
				t.Run(fmt.Sprintf("%s %d, after: %v", at, n, after), func(t *testing.T) {
					inBubble(t, func(w *world) {
						p := &process{at: func(step string, isAfter bool, i int) bool { return step == at && isAfter == after && i == n }}
						w.work(perMinute(2), w.workIn(p, workerOptions{consumer: consumer.Options{Concurrency: 1}}))
						all := orders("a", 0, 6)
						w.publish(all...)
						time.Sleep(10 * time.Second)
						if !p.dead.Load() {
							t.Fatal("it has not crashed")
						}
						next := w.work(perMinute(2), workerOptions{})
						time.Sleep(5 * time.Minute)
						w.wantOnce(t, all, 1)
						wantNothingLeft(t, next)
						must(t, next.stop())
					})
				})
			}
		}
	}
}

// After a crash in the middle of a summary the events are in one that another process makes, also
// those that were deferred later, in order.
func TestASummaryIsMadeAgainAfterACrash(t *testing.T) {
	inBubble(t, func(w *world) {
		p := &process{}
		o := w.workIn(p, workerOptions{sum: func(ctx context.Context, _ string, _ []bus.Event) error {
			p.dead.Store(true)
			<-ctx.Done()
			return errCrashed
		}})
		w.work(perMinute(1), o)
		all := orders("a", 0, 30)
		w.publish(all[:20]...)
		time.Sleep(35 * time.Second)
		if !p.dead.Load() {
			t.Fatal("it has not crashed")
		}
		next := w.work(perMinute(1), workerOptions{})
		w.publish(all[20:]...)
		time.Sleep(5 * time.Minute)
		w.wantOnce(t, all, 0)
		w.wantOrder(t)
		wantNothingLeft(t, next)
		if sums := w.sums(); len(sums) > 2 {
			t.Errorf("%d summaries, want one or two", len(sums))
		}
		must(t, next.stop())
	})
}

// An event that makes summaries fail is dead-lettered alone, and is summed up when it was redriven.
func TestABadEventCostsItsOwnAttemptsOnly(t *testing.T) {
	for name, bad := range map[string]func(error) error{"failing": func(err error) error { return err }, "permanent": consumer.Permanent} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				mended := false
				p := w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
					if !mended && slices.ContainsFunc(es, func(e bus.Event) bool { return e.ID == "a-005" }) {
						return bad(errors.New("bad event"))
					}
					return w.sum(ctx, key, es)
				}})
				all := orders("a", 0, 12)
				w.publish(all...)
				time.Sleep(5 * time.Minute)
				w.wantOnce(t, slices.Concat(all[:5], all[6:]), 0)
				w.wantOrder(t)
				if w.count(deferral.OutcomeProcessFailed) != 1 || w.count(deferral.OutcomeRetry) == 0 {
					t.Errorf("outcomes are %v, want one failure and retries", w.outcomes)
				}
				letters := w.deadLetters()
				if len(letters) != 1 || letters[0].Event.ID != "a-005" || letters[0].Event.Headers.Get(deferral.HeaderTopic) != "order.placed" ||
					!strings.Contains(letters[0].Error, "bad event") {
					t.Fatalf("letters are %+v, want one of a-005, with the topic order.placed and the error", letters)
				}
				mended = true
				w.redrive()
				time.Sleep(5 * time.Minute)
				w.wantOnce(t, all, 0)
				if sums := w.sums(); !slices.Equal(sums[len(sums)-1].ids, []string{"a-005"}) {
					t.Errorf("the last summary is %v, want that of a-005", sums[len(sums)-1])
				}
				wantNothingLeft(t, p)
			})
		})
	}
}

func (w *world) deadLetters() (all []deadletter.Letter) {
	w.t.Helper()
	topic, err := deadletter.OpenTopic(w.bus, "dead.billing")
	must(w.t, err)
	for l, err := range topic.List(context.Background(), deadletter.Filter{}, bus.Position{}) {
		must(w.t, err)
		all = append(all, l)
	}
	return all
}

func (w *world) redrive() {
	w.t.Helper()
	topic, err := deadletter.OpenTopic(w.bus, "dead.billing")
	must(w.t, err)
	must(w.t, errors.Join(topic.Redrive(context.Background(), w.store, "billing", w.deadLetters()...)...))
}

// A handler that says which events are done has those marked, and sees the others again.
func TestItemsAreSettledByThemselves(t *testing.T) {
	inBubble(t, func(w *world) {
		calls := 0
		w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
			if calls++; calls > 1 {
				return w.sum(ctx, key, es)
			}
			must(t, w.sum(ctx, key, es[:3]))
			items := make(deferral.ItemErrors, len(es))
			for i := 3; i < len(es); i++ {
				items[i] = errors.New("no room")
			}
			return items
		}})
		all := orders("a", 0, 9)
		w.publish(all...)
		time.Sleep(2 * time.Minute)
		w.wantOnce(t, all, 0)
		w.wantOrder(t)
		if len(w.sums()) != 2 {
			t.Errorf("summaries are %v, want two", w.sums())
		}
	})
}

// A handler that panics, or takes longer than a lease, is like any other.
func TestASummaryMayPanicOrTakeLong(t *testing.T) {
	inBubble(t, func(w *world) {
		calls := 0
		p := w.work(perMinute(1), workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
			if calls++; calls == 1 {
				panic("boom")
			}
			time.Sleep(3 * time.Minute)
			return w.sum(ctx, key, es)
		}})
		all := orders("a", 0, 9)
		w.publish(all...)
		time.Sleep(10 * time.Minute)
		w.wantOnce(t, all, 0)
		w.wantOrder(t)
		wantNothingLeft(t, p)
		if calls != 2 {
			t.Errorf("the handler was called %d times, want twice", calls)
		}
	})
}

// ForEach calls a handler of single events, each under the idempotency key that it has on its own
// topic.
func TestForEachCallsTheHandlerOfSingleEvents(t *testing.T) {
	inBubble(t, func(w *world) {
		keys := make(map[string]string)
		failed := false
		single := func(ctx context.Context, e bus.Event) error {
			if e.ID == "a-004" && !failed {
				failed = true
				return errors.New("not yet")
			}
			a := consumer.AttemptFrom(ctx)
			keys[e.ID] = a.IdempotencyKey
			if a.Key.Topic != "order.placed" || e.Topic != "order.placed" {
				t.Errorf("event %s of %q has the key %v", e.ID, e.Topic, a.Key)
			}
			return w.sum(ctx, e.Key, []bus.Event{e})
		}
		w.work(perMinute(1), workerOptions{sum: deferral.ForEach(single)})
		all := orders("a", 0, 9)
		w.publish(all...)
		time.Sleep(2 * time.Minute)
		w.wantOnce(t, all, 0)
		w.wantOrder(t)
		unique := make(map[string]bool)
		for _, k := range keys {
			unique[k] = true
		}
		if len(unique) != 8 || unique[""] {
			t.Errorf("idempotency keys are %v, want 8 that differ", keys)
		}
	})
}
