package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// closable is a store and a bus that can be closed for good.
type closable struct {
	*memdedupe.Store
	bus.Bus

	noStore, noBus *atomic.Bool
}

func (c closable) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if c.noStore.Load() {
		return nil, fmt.Errorf("mark: %w", dedupe.ErrClosed)
	}
	return c.Store.Settle(ctx, ss)
}

func (c closable) Publish(ctx context.Context, es ...bus.Event) ([]bus.Receipt, error) {
	if !c.noBus.Load() {
		return c.Bus.Publish(ctx, es...)
	}
	receipts := make([]bus.Receipt, len(es))
	for i := range receipts {
		receipts[i].Err = bus.ErrClosed
	}
	return receipts, bus.ErrClosed
}

func (c closable) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	if c.noBus.Load() {
		return nil, bus.ErrClosed
	}
	s, err := c.Bus.Subscribe(ctx, topic, group, o)
	return closableSource{s, c.noBus}, err
}

type closableSource struct {
	bus.Source

	closed *atomic.Bool
}

func (s closableSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
	if s.closed.Load() {
		return ds, bus.ErrClosed
	}
	return ds, err
}

// A subscription ends soon after its store or its bus was closed for good: what they would have to
// answer is not waited for.
func TestWhatWasClosedForGoodIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		noStore, noBus bool
		returns        error
		want           error
	}{
		"the store, with a success to mark": {noStore: true, want: dedupe.ErrClosed},
		"the store, with a failure to note": {noStore: true, returns: errors.New("no"), want: dedupe.ErrClosed},
		"the bus, with a letter to publish": {noBus: true, returns: consumer.Permanent(errors.New("no")), want: bus.ErrClosed},
		"both":                              {noStore: true, noBus: true, want: dedupe.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(w *harness) {
				memory, ok := w.store.(*memdedupe.Store)
				if !ok {
					t.Fatalf("the store is a %T", w.store)
				}
				x := closable{memory, w.bus, &atomic.Bool{}, &atomic.Bool{}}
				w.publish(order("1"))
				var closed time.Time
				s, err := consumer.SubscribeExactlyOnce(w.t.Context(), x, "order.*", "billing", x, w.record(func(context.Context, bus.Event) error {
					closed = time.Now()
					x.noStore.Store(c.noStore)
					x.noBus.Store(c.noBus)
					return c.returns
				}), &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
				must(w.t, err)
				<-s.Done()
				if took := time.Since(closed); took > 5*time.Second {
					t.Errorf("it took %v to end", took)
				}
				if err := s.Err(); !errors.Is(err, c.want) {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
			})
		})
	}
}

// Nothing that runs beside a closed store can be marked: it is cancelled, with the reason.
func TestRunsEndWithTheirStore(t *testing.T) {
	inBubble(t, func(w *harness) {
		memory, ok := w.store.(*memdedupe.Store)
		if !ok {
			t.Fatalf("the store is a %T", w.store)
		}
		x := closable{memory, w.bus, &atomic.Bool{}, &atomic.Bool{}}
		w.publish(order("slow"), order("quick"))
		slow := make(chan struct{})
		var cause error
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), x, "order.*", "billing", x, w.record(func(ctx context.Context, e bus.Event) error {
			if e.ID == "slow" {
				close(slow)
				<-ctx.Done()
				cause = context.Cause(ctx)
				return cause
			}
			<-slow
			x.noStore.Store(true)
			return nil
		}), &consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		<-s.Done()
		if !errors.Is(cause, dedupe.ErrClosed) {
			t.Errorf("the slow run was cancelled by %v, want dedupe.ErrClosed", cause)
		}
		if err := s.Err(); !errors.Is(err, consumer.ErrDrainIncomplete) {
			t.Errorf("ended with %v, want ErrDrainIncomplete: a success is not marked", err)
		}
	})
}

// A group's cursor is not made again on a bus that was closed for good.
func TestNoCursorIsMadeOnAClosedBus(t *testing.T) {
	inBubble(t, func(w *harness) {
		x := closable{Bus: w.bus, noStore: &atomic.Bool{}, noBus: &atomic.Bool{}}
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), lostWhenClosed{x}, "order.*", "billing", w.store, nothing,
			&consumer.Options{Logger: slog.New(slog.DiscardHandler)})
		must(w.t, err)
		x.noBus.Store(true)
		select {
		case <-s.Done():
		case <-time.After(10 * time.Second):
			t.Error("the subscription goes on without a bus")
		}
		if err := s.Drain(w.t.Context()); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("ended with %v, want bus.ErrClosed", err)
		}
	})
}

// lostWhenClosed is a bus that was closed after it had lost the group's consumer.
type lostWhenClosed struct{ closable }

func (b lostWhenClosed) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.closable.Subscribe(ctx, topic, group, o)
	if err != nil {
		return nil, err
	}
	return lostSource{s, b.noBus}, nil
}

type lostSource struct {
	bus.Source

	lost *atomic.Bool
}

func (s lostSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
	if s.lost.Load() {
		return nil, bus.ErrConsumerLost
	}
	return ds, err
}
