package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// runAgain publishes copies of an event for the group, that run again in a scope.
func (w *harness) runAgain(e bus.Event, scope string, copies int) {
	w.t.Helper()
	for i := range copies {
		w.publish(e.WithControl(bus.Control{Group: "billing", Copy: fmt.Sprint(i), Again: scope}))
	}
}

// In each scope an event runs once, with a key of its own for every effect, and the marks of the
// first run stay.
func TestAnEventRunsAgainOncePerScope(t *testing.T) {
	inBubble(t, func(w *harness) {
		runKeys := make(map[dedupe.Key]int)
		s := w.subscribe(func(ctx context.Context, _ bus.Event) error {
			runKeys[dedupe.RunFrom(ctx).Key()]++
			return nil
		}, &consumer.Options{Concurrency: 1})
		w.publish(order("1"))
		time.Sleep(time.Minute)
		w.runAgain(order("1"), "fix-a", 2)
		time.Sleep(time.Hour) // the bus forgets message ids
		w.runAgain(order("1"), "fix-b", 2)
		w.runAgain(order("1"), "fix-a", 1)
		w.again(order("1"), 2)
		time.Sleep(time.Minute)
		w.drain(s)
		key := dedupe.Key{Topic: "order.placed", Group: "billing", ID: "1"}
		a, b := key, key
		a.Scope, b.Scope = "again:fix-a", "again:fix-b"
		if len(runKeys) != 3 || runKeys[key] != 1 || runKeys[a] != 1 || runKeys[b] != 1 || s.Stats().Duplicates != 5 {
			t.Errorf("runs by key: %v, stats %+v; want one in each scope, and 5 duplicates", runKeys, s.Stats())
		}
		idempotency := make(map[string]bool)
		for _, a := range w.runs {
			idempotency[a.IdempotencyKey] = true
		}
		if len(idempotency) != 3 {
			t.Errorf("idempotency keys %v; want one for each scope", idempotency)
		}
	})
}

func TestAnEventRunsAgainInItsGroupAlone(t *testing.T) {
	inBubble(t, func(w *harness) {
		others := 0
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), w.bus, "order.*", "audit", w.store, func(context.Context, bus.Event) error {
			others++
			return nil
		}, &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		w.runAgain(order("1"), "fix", 3)
		time.Sleep(time.Minute)
		lag, err := s.Lag(w.t.Context())
		w.drain(s)
		if others != 0 || err != nil || lag != (consumer.Lag{}) {
			t.Errorf("another group ran it %d times, lag %+v, %v; want its copies to be acknowledged unrun", others, lag, err)
		}
	})
}

// A letter says in which scope its event ran, also where its key is that of the payload.
func TestALetterSaysInWhichScopeItsEventRan(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.runAgain(order("1"), "fix", 1)
		w.runAgain(order("unidentified"), "fix", 1)
		w.publish(order("2"))
		s := w.subscribe(func(context.Context, bus.Event) error {
			return consumer.Permanent(errors.New("no"))
		}, &consumer.Options{ID: func(e bus.Event) string {
			if e.ID == "unidentified" {
				return ""
			}
			return e.ID
		}})
		time.Sleep(time.Minute)
		w.drain(s)
		scopes, keys := make(map[string]string), make(map[string]string)
		for _, l := range w.letters() {
			key, err := l.DedupeKey()
			must(w.t, err)
			scopes[l.Event.ID], keys[l.Event.ID] = l.Again, key.Scope
		}
		if len(scopes) != 3 || scopes["1"] != "fix" || scopes["unidentified"] != "fix" || scopes["2"] != "" {
			t.Errorf("letters of the scopes %v", scopes)
		}
		if keys["1"] != dedupe.AgainScope("fix") || keys["2"] != "" {
			t.Errorf("letters with keys of the scopes %v", keys)
		}
	})
}
