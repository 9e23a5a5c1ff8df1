package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// TestFailedAttemptsAreRemembered: in the row of the event and on its dead letter, by who ran it,
// for how long, and why it failed.
func TestFailedAttemptsAreRemembered(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"))
		n := 0
		s := w.subscribe(func(context.Context, bus.Event) error {
			n++
			time.Sleep(time.Duration(n) * time.Second)
			return fmt.Errorf("refused for the %d. time", n)
		}, &consumer.Options{MaxAttempts: 3, Process: "till-7"})
		time.Sleep(time.Minute)
		w.drain(s)
		letters := w.letters()
		if len(letters) != 1 {
			w.t.Fatalf("%d letters, want 1", len(letters))
		}
		key, err := letters[0].DedupeKey()
		must(w.t, err)
		entries, err := w.store.(dedupe.Inspector).Inspect(w.t.Context(), []dedupe.Key{key})
		must(w.t, err)
		for where, history := range map[string][]dedupe.Attempt{"row": entries[0].History, "letter": letters[0].History} {
			if len(history) != 3 {
				w.t.Fatalf("%s: a history of %d attempts, want 3: %+v", where, len(history), history)
			}
			for i, a := range history {
				if a.Number != i+1 || a.Took != time.Duration(i+1)*time.Second || a.Process != "till-7" || a.Sequence != letters[0].At.Sequence ||
					a.Token != w.runs[i].Token || a.Error != fmt.Sprintf("refused for the %d. time", i+1) || !a.Ended.Equal(w.at[i].Add(a.Took).Truncate(time.Millisecond)) {
					w.t.Errorf("%s: attempt %d is %+v, of %+v", where, i+1, a, w.runs[i])
				}
			}
		}
	})
}

// TestProcessIsNamed: by its host and process id, unless it has a name of its own.
func TestProcessIsNamed(t *testing.T) {
	t.Parallel()
	o, err := (*consumer.Options)(nil).WithDefaults("g")
	must(t, err)
	host, err := os.Hostname()
	must(t, err)
	if want := fmt.Sprintf("%s:%d", host, os.Getpid()); o.Process != want {
		t.Errorf("process %q, want %q", o.Process, want)
	}
}

// nonceStore remembers the nonces that claims are asked under.
type nonceStore struct {
	*memdedupe.Store

	mu     sync.Mutex
	nonces []string
}

func (s *nonceStore) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rs {
		s.nonces = append(s.nonces, r.Nonce)
	}
	return s.Store.Claim(ctx, rs)
}

// TestOwnerBeginsItsNonces: the holder of a row is told apart by it.
func TestOwnerBeginsItsNonces(t *testing.T) {
	inBubble(t, func(w *harness) {
		memory, ok := w.store.(*memdedupe.Store)
		if !ok {
			w.t.Fatal(errors.New("the harness has another store"))
		}
		store := &nonceStore{Store: memory}
		w.store = store
		a, b := w.subscribe(nothing, nil), w.subscribe(nothing, nil)
		w.publish(order("1"), order("2"), order("3"))
		time.Sleep(time.Minute)
		if a.Owner() == b.Owner() || a.Owner() == "" {
			w.t.Errorf("owners %q and %q, want two that differ", a.Owner(), b.Owner())
		}
		store.mu.Lock()
		defer store.mu.Unlock()
		if len(store.nonces) == 0 {
			w.t.Error("nothing was claimed")
		}
		for _, nonce := range store.nonces {
			if strings.HasPrefix(nonce, a.Owner()) == strings.HasPrefix(nonce, b.Owner()) {
				w.t.Errorf("nonce %q is not of one of %q and %q", nonce, a.Owner(), b.Owner())
			}
		}
	})
}

// A copy has the place of its event in the order of the stream, and a letter of it says so too.
func TestCopiesHaveThePlaceOfTheirEvent(t *testing.T) {
	first := bus.Position{Stream: "s@1", Sequence: 3, Stored: time.Unix(5, 0).UTC()}
	for name, c := range map[string]bus.Control{
		"redriven":       {Redriven: protocol.LetterID("billing", first, 7), Group: "billing"},
		"redriven twice": {Redriven: protocol.LetterID("billing", bus.Position{Stream: "s@1", Sequence: 9}, 7), Group: "billing", Original: first.String()},
		"replayed":       {Copy: "run", Group: "billing", Original: first.String()},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.publish(order("1").WithControl(c), order("2"))
				s := w.subscribe(func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("refused")) }, nil)
				time.Sleep(time.Minute)
				w.drain(s)
				if len(w.runs) != 2 || w.runs[0].Original != first || w.runs[1].Original != w.runs[1].At {
					t.Errorf("runs %+v, want the first at %v, and the second at its own position", w.runs, first)
				}
				if ls := w.letters(); len(ls) != 2 || ls[0].Original != first || ls[1].Original != (bus.Position{}) {
					t.Errorf("letters %+v, want the first to be of the event at %v", ls, first)
				}
			})
		})
	}
}

// A handler is told that an event was published again on purpose, which its headers do not say.
func TestCopiesThatWerePublishedOnPurposeAreToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		control bus.Control
		want    bool
	}{
		"published":   {bus.Control{}, false},
		"redriven":    {bus.Control{Redriven: "billing/s@1/1/1", Group: "billing"}, true},
		"replayed":    {bus.Control{Copy: "run", Group: "billing"}, true},
		"run again":   {bus.Control{Again: "may", Group: "billing"}, true},
		"republished": {bus.Control{Copy: "1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				w.publish(order("1").WithControl(c.control))
				s := w.subscribe(nothing, nil)
				time.Sleep(time.Minute)
				w.drain(s)
				if len(w.runs) != 1 || w.runs[0].Copied != c.want {
					t.Errorf("runs %+v, want one with Copied %v", w.runs, c.want)
				}
			})
		})
	}
}
