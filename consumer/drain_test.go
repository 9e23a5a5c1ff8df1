package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// stuckBus has sources whose Close waits for its context.
type stuckBus struct{ bus.Bus }

func (b stuckBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return stuckSource{s}, err
}

type stuckSource struct{ bus.Source }

func (s stuckSource) Close(ctx context.Context) error {
	<-ctx.Done()
	return errors.Join(s.Source.Close(ctx), context.Cause(ctx))
}

// A drain has one deadline, whatever hangs: the store, the bus, handlers, or all of them.
func TestDrainEndsInTimeWhateverHangs(t *testing.T) {
	all := []faulty.Call{
		faulty.Claim, faulty.Extend, faulty.Settle, faulty.Advance, faulty.Fetch, faulty.Info, faulty.Ack, faulty.Nak, faulty.Progress,
		faulty.Publish, "close", "handler", "deaf handler",
	}
	hangs := map[string][]faulty.Call{"everything": all, "nothing": nil}
	for _, c := range all {
		hangs[string(c)] = []faulty.Call{c}
	}
	for name, calls := range hangs {
		for _, drain := range []time.Duration{time.Second, 25 * time.Second} {
			t.Run(fmt.Sprint(name, ", ", drain), func(t *testing.T) {
				inBubble(t, func(w *harness) { drainWhile(w, calls, drain) })
			})
		}
	}
}

func drainWhile(w *harness, calls []faulty.Call, drain time.Duration) {
	hung := make(map[faulty.Call]bool)
	for _, c := range calls {
		hung[c] = true
	}
	var begun atomic.Bool
	free := make(chan struct{})
	b := w.faults(func(c faulty.Call) faulty.Fault {
		if begun.Load() && hung[c] {
			return faulty.Fault{Delay: 24 * time.Hour}
		}
		return faulty.Fault{}
	})
	if hung["close"] {
		b = stuckBus{b}
	}
	s := w.subscribeTo(b, func(ctx context.Context, e bus.Event) error {
		switch {
		case hung["deaf handler"]:
			<-free
		case hung["handler"]:
			<-ctx.Done()
			return context.Cause(ctx)
		case e.ID == "slow":
			time.Sleep(drain / 2)
		}
		return nil
	}, &consumer.Options{Drain: drain, Concurrency: 4})
	w.publish(order("slow"), order("2"), order("3"))
	synctest.Wait()
	begun.Store(true)
	for i := range 100 {
		w.publish(order(fmt.Sprint("more", i)))
	}
	time.Sleep(100 * time.Millisecond)
	start := time.Now()
	err := s.Drain(context.Background())
	if took, most := time.Since(start), drain+min(drain, 4*time.Second); took > most {
		w.t.Errorf("it took %v, want at most %v", took, most)
	}
	if err != nil && !errors.Is(err, consumer.ErrDrainIncomplete) {
		w.t.Error(err)
	}
	close(free)
}

// A drain is over when the answers were sent, not when they are about to be: a lost ack is another
// delivery.
func TestDrainWaitsForAnswersToBeSent(t *testing.T) {
	inBubble(t, func(w *harness) {
		const events = 5
		for i := range events {
			w.publish(order(fmt.Sprint(i)))
		}
		b := w.faults(func(c faulty.Call) faulty.Fault {
			if c == faulty.Ack {
				return faulty.Fault{Delay: time.Second}
			}
			return faulty.Fault{}
		})
		s := w.subscribeTo(b, nothing, nil)
		synctest.Wait() // the first ack is on its way
		w.drain(s)
		if n := s.Stats().Handled; n != events {
			t.Fatalf("%d of %d events were handled", n, events)
		}
		cursor, err := w.bus.Subscribe(w.t.Context(), "order.*", "billing", nil)
		must(t, err)
		info, err := cursor.Info(w.t.Context())
		must(t, err)
		if info.Pending != 0 || info.Unsettled != 0 {
			t.Errorf("the bus will deliver again what was handled: %+v", info)
		}
		must(t, cursor.Close(w.t.Context()))
	})
}
