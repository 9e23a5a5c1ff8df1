package testbed

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// A server that does not count yet what it has confirmed has not settled it.
func TestNothingIsSettledBeforeItIsDelivered(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(natstest.Start(t, nil).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "g"}); err != nil {
		t.Fatal(err)
	}
	if c := NewGroupCursor(js, "s", "g"); c.IsEmpty(t.Context(), 1) {
		t.Error("a message that was never delivered is settled")
	}
	if c := NewGroupCursor(js, "s", "g"); !c.IsEmpty(t.Context(), 0) {
		t.Error("nothing is not settled")
	}
}
