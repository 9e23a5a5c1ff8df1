package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
)

// lossy is a bus that stores letters, and loses its first answers about them.
type lossy struct {
	*membus.Bus

	refused atomic.Int32 // how many publishes are still to be refused
	lost    atomic.Int32 // how many answers are still to be lost
	reads   atomic.Int32
	read    func(nth int32) error // why a read fails; nil: none does
}

func (b *lossy) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	if events[0].Topic == "dead.billing" && b.refused.Add(-1) >= 0 {
		return nil, errors.New("refused")
	}
	receipts, err := b.Bus.Publish(ctx, events...)
	if events[0].Topic == "dead.billing" && b.lost.Add(-1) >= 0 {
		for i := range receipts {
			receipts[i] = bus.Receipt{Err: errors.New("no answer")}
		}
	}
	return receipts, err
}

func (b *lossy) Read(ctx context.Context, pattern string, r bus.Range) iter.Seq2[bus.Stored, error] {
	n := b.reads.Add(1)
	if b.read != nil && b.read(n) != nil {
		return func(yield func(bus.Stored, error) bool) { yield(bus.Stored{}, b.read(n)) }
	}
	return b.Bus.Read(ctx, pattern, r)
}

// lossyBus has a dead-letter topic on which no publish is recognised as a repeat.
func lossyBus(t *testing.T) *lossy {
	t.Helper()
	b, err := membus.New(&membus.Options{Streams: []membus.Stream{
		{Name: "orders", Topics: []string{"order.>"}}, {Name: "dead", Topics: []string{"dead.>"}, DuplicateWindow: -1},
	}})
	must(t, err)
	return &lossy{Bus: b}
}

// giveUp has a group give up an event, for as long as that takes, and returns what it logged.
func (w *harness) giveUp(b *lossy, e bus.Event) string {
	w.t.Helper()
	w.bus = b.Bus
	w.publish(e)
	var log bytes.Buffer
	s, err := consumer.SubscribeExactlyOnce(w.t.Context(), b, "order.*", "billing", w.store, func(context.Context, bus.Event) error {
		return consumer.Permanent(errors.New(strings.Repeat("no", 30_000)))
	}, &consumer.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(w.t, err)
	time.Sleep(2 * time.Hour)
	w.drain(s)
	if n := s.Stats().Dead; n != 1 {
		w.t.Errorf("%d events are dead, want 1; log:\n%s", n, &log)
	}
	return log.String()
}

// storedLetters returns how often each event of the dead-letter topic is stored.
func (w *harness) storedLetters() map[string]int {
	w.t.Helper()
	n := make(map[string]int)
	for s, err := range w.bus.Read(w.t.Context(), "dead.>", bus.Range{}) {
		must(w.t, err)
		n[s.Event.ID]++
	}
	return n
}

// A letter whose publish got no answer is looked up before it is published again: the bus may have
// forgotten by then that it has it.
func TestLetterIsStoredOnceThoughTheAnswerWasLost(t *testing.T) {
	large := order("1")
	large.Data = bytes.Repeat([]byte("x"), 1<<20-1000)
	for name, c := range map[string]struct {
		event   bus.Event
		letters int
		lost    int32
		read    func(int32) error
	}{
		"answered":                     {event: order("1"), letters: 1},
		"answer lost":                  {event: order("1"), letters: 1, lost: 1},
		"in parts, answer of the rest": {event: large, letters: 3, lost: 1},
		"in parts, both answers lost":  {event: large, letters: 3, lost: 2},
		"looking fails at first": {event: order("1"), letters: 1, lost: 1, read: func(nth int32) error {
			if nth < 3 {
				return errors.New("no responders")
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				b := lossyBus(t)
				b.read = c.read
				b.lost.Store(c.lost)
				log := w.giveUp(b, c.event)
				stored := w.storedLetters()
				for id, n := range stored {
					if n != 1 {
						t.Errorf("%q is stored %d times", id, n)
					}
				}
				if len(stored) != c.letters || (b.reads.Load() > 0) != (c.lost > 0) {
					t.Errorf("%d events are stored after %d reads, want %d; log:\n%.2000s", len(stored), b.reads.Load(), c.letters, log)
				}
			})
		})
	}
}

// A bus that may not read the topic is told of once, and the letter is stored, if twice.
func TestLetterIsStoredWhereTheTopicMayNotBeRead(t *testing.T) {
	inBubble(t, func(w *harness) {
		b := lossyBus(t)
		b.read = func(int32) error { return fmt.Errorf("read: %w", errors.ErrUnsupported) }
		b.lost.Store(2)
		log := w.giveUp(b, order("1"))
		if n := strings.Count(log, "the dead-letter topic cannot be read"); n != 1 || b.reads.Load() != 1 || len(w.storedLetters()) != 1 {
			t.Errorf("told of %d times after %d reads, stored %v", n, b.reads.Load(), w.storedLetters())
		}
	})
}

// A topic that cannot be read does not keep letters from being stored for ever.
func TestLetterIsStoredThoughTheTopicCannotBeReadForLong(t *testing.T) {
	inBubble(t, func(w *harness) {
		b := lossyBus(t)
		b.read = func(int32) error { return errors.New("too many consumers") }
		b.refused.Store(1)
		log := w.giveUp(b, order("1"))
		if n := w.storedLetters(); len(n) != 1 || !strings.Contains(log, "the dead-letter topic cannot be read") {
			t.Errorf("stored %v; log:\n%s", n, log)
		}
	})
}

// Who takes an event over looks for the letter of the process before.
func TestLetterOfAProcessThatDiedIsFound(t *testing.T) {
	inBubble(t, func(w *harness) {
		b := lossyBus(t)
		b.lost.Store(1 << 20)
		w.bus = b.Bus
		w.publish(order("1"))
		gone, err := consumer.SubscribeExactlyOnce(w.t.Context(), b, "order.*", "billing", w.store, func(context.Context, bus.Event) error {
			return consumer.Permanent(errors.New("no"))
		}, &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		time.Sleep(time.Second)
		w.drain(gone)
		if n := w.storedLetters(); len(n) != 1 {
			t.Fatalf("stored %v, want one letter without an answer", n)
		}
		b.lost.Store(0)
		time.Sleep(time.Hour)
		s := w.subscribe(nothing, nil)
		time.Sleep(time.Hour)
		w.drain(s)
		for id, n := range w.storedLetters() {
			if n != 1 || s.Stats().Dead != 1 {
				t.Errorf("%q is stored %d times; stats %+v", id, n, s.Stats())
			}
		}
	})
}
