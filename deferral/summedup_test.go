package deferral_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
)

// outcomesOf counts how the deliveries of a subscription ended.
type outcomesOf map[consumer.Outcome]int

// Observe implements consumer.Observer.
func (o outcomesOf) Observe(n consumer.Observation) { o[n.Outcome]++ }

// Every event of a summary counts as handled, not only its first; one that is stored again is a
// duplicate.
func TestEventsOfASummaryCountAsHandled(t *testing.T) {
	inBubble(t, func(w *world) {
		ended := make(outcomesOf)
		p := w.work(perMinute(1), workerOptions{options: &deferral.Options{Subscription: &consumer.Options{Observer: ended}}})
		w.publish(orders("a", 0, 10)...)
		w.publish(orders("b", 0, 5)...)
		time.Sleep(time.Minute)
		if n := p.summaries.Stats(); n.Handled != 13 || n.Duplicates != 0 {
			t.Errorf("%d handled and %d duplicates, want 13 and 0", n.Handled, n.Duplicates)
		}
		w.storeAgain("deferred.billing", 3)
		time.Sleep(2 * time.Minute)
		n := p.summaries.Stats()
		must(t, p.stop())
		if n.Handled != 13 || n.Duplicates != 3 {
			t.Errorf("after 3 copies: %d handled and %d duplicates, want 13 and 3", n.Handled, n.Duplicates)
		}
		if ended[consumer.OutcomeHandled] != 13 || ended[consumer.OutcomeDuplicate] != 3 {
			t.Errorf("the observer was told of %v, want 13 handled and 3 duplicate", ended)
		}
	})
}

// An event of a summary whose ack was lost is redelivered, and counts as handled only once.
func TestARedeliveredEventOfASummaryIsADuplicate(t *testing.T) {
	inBubble(t, func(w *world) {
		b := &forgetfulBus{Bus: w.bus, topic: "deferred.billing", acked: make(map[uint64]bool)}
		p := w.work(perMinute(1), workerOptions{bus: b, store: w.store})
		w.publish(orders("a", 0, 10)...)
		time.Sleep(5 * time.Minute)
		if n := p.summaries.Stats(); n.Handled != 9 || n.Duplicates != 9 || len(w.sums()) != 1 {
			t.Errorf("%d handled and %d duplicates, summaries %v; want 9, 9 and one", n.Handled, n.Duplicates, w.sums())
		}
		wantNothingLeft(t, p)
	})
}

// forgetfulBus loses the first ack of each event of a topic.
type forgetfulBus struct {
	*membus.Bus

	topic string
	mu    sync.Mutex
	acked map[uint64]bool
}

func (b *forgetfulBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	if err != nil || topic != b.topic {
		return s, err
	}
	return &forgetfulSource{s, b}, nil
}

type forgetfulSource struct {
	bus.Source

	bus *forgetfulBus
}

func (s *forgetfulSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
	for i, d := range ds {
		ds[i] = bus.NewDelivery(d.Event, d.Arrivals, d.At, &forgetfulAnswerer{d, s.bus})
	}
	return ds, err
}

type forgetfulAnswerer struct {
	of  *bus.Delivery
	bus *forgetfulBus
}

func (a *forgetfulAnswerer) Answer(ctx context.Context, answer bus.Answer) error {
	if answer.Nak {
		return a.of.Nak(ctx, answer.After)
	}
	a.bus.mu.Lock()
	forget := !a.bus.acked[a.of.At.Sequence]
	a.bus.acked[a.of.At.Sequence] = true
	a.bus.mu.Unlock()
	if forget {
		return nil
	}
	return a.of.Ack(ctx)
}

func (a *forgetfulAnswerer) Extend(ctx context.Context) error { return a.of.Extend(ctx) }

// What was dropped is no duplicate of a summary either, but none was made of it.
func TestDroppedEventsAreNotCountedAsHandled(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.work(perMinute(1), workerOptions{})
		w.publish(orders("a", 0, 10)...)
		time.Sleep(time.Second)
		waiting, err := deferral.List(w.t.Context(), w.bus, w.store, "billing", p.Topic())
		must(t, err)
		_, err = deferral.Drop(w.t.Context(), w.store, "billing", p.Topic(), 0, waiting...)
		must(t, err)
		time.Sleep(2 * time.Minute)
		if n := p.summaries.Stats(); n.Handled != 0 || n.Duplicates != 9 || len(w.sums()) != 0 {
			t.Errorf("%d handled and %d duplicates, summaries %v; want 0, 9 and none", n.Handled, n.Duplicates, w.sums())
		}
	})
}

// storeAgain stores further copies of the first events of a topic.
func (w *world) storeAgain(topic string, n int) {
	w.t.Helper()
	for s, err := range w.bus.Read(w.t.Context(), topic, bus.Range{}) {
		must(w.t, err)
		control, err := s.Event.Control()
		must(w.t, err)
		control.Copy += " again"
		w.publish(s.Event.WithControl(control))
		if n--; n == 0 {
			return
		}
	}
}
