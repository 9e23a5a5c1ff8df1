package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/natstest"
)

// What the server has confirmed is pending before it counts it; what lies behind the cursor on
// other topics is not.
func TestConfirmedEventsArePending(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	b, err := New(nc, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, e := range []bus.Event{{ID: "1", Topic: "orders.new"}, {ID: "2", Topic: "orders.paid"}} {
		if _, err := b.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for topic, want := range map[string]map[uint64]uint64{ // by the sequence that was delivered last
		"orders.new": {0: 1, 1: 0, 2: 0}, "orders.paid": {0: 1, 1: 1, 2: 0}, "orders.>": {0: 1, 1: 1, 2: 0}, "orders.gone": {0: 0},
	} {
		src, err := b.Subscribe(t.Context(), topic, "g", nil)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := src.(*Source)
		stream, consumer, err := s.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for delivered, pending := range want {
			consumer.NumPending, consumer.Delivered.Stream = 0, delivered
			if got := s.pending(t.Context(), stream, consumer); got != pending {
				t.Errorf("%s: %d pending behind sequence %d, want %d", topic, got, delivered, pending)
			}
		}
	}
}
