package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// serverBus hands out one message of the server before each event.
type serverBus struct{ bus.Bus }

func (b serverBus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := b.Bus.Subscribe(ctx, topic, group, o)
	return serverSource{s}, err
}

type serverSource struct{ bus.Source }

func (s serverSource) Fetch(ctx context.Context, most int) ([]*bus.Delivery, error) {
	ds, err := s.Source.Fetch(ctx, most)
	for _, d := range ds {
		if d.Event.ID == "marker" {
			d.ServerMessage = "delete marker: MaxAge"
		}
	}
	return ds, err
}

// What the bus's server stored for itself is acknowledged unrun, once, and counted.
func TestMessagesOfTheServerNeverRun(t *testing.T) {
	inBubble(t, func(w *harness) {
		w.publish(order("1"), order("marker"), order("2"))
		s, err := consumer.SubscribeExactlyOnce(w.t.Context(), serverBus{w.bus}, "order.*", "billing", w.store, w.record(nothing), nil)
		must(t, err)
		time.Sleep(time.Minute)
		must(t, s.Drain(w.t.Context()))
		if st := s.Stats(); w.starts() != 2 || st.Handled != 2 || st.Skipped != 1 || st.Duplicates != 0 {
			t.Errorf("%d runs, stats %+v", w.starts(), st)
		}
	})
}
