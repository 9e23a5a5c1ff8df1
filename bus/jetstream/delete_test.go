package jetstream_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A stream that denies deletes says so, and keeps its events.
func TestDeleteThatTheStreamDeniesIsUnsupported(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js := newJetStream(t, nc)
	makeStream(t, js, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}, DenyDelete: true})
	b := newBus(t, nc, nil)
	if _, err := b.Publish(t.Context(), bus.Event{ID: "1", Topic: "orders.new"}); err != nil {
		t.Fatal(err)
	}
	for s, err := range b.Read(t.Context(), "orders.new", bus.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteEvents(t.Context(), []bus.Position{s.At})[0]; !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("DeleteEvents: %v; want ErrUnsupported", err)
		}
		if _, err := b.Get(t.Context(), s.At); err != nil {
			t.Errorf("the event is gone: %v", err)
		}
	}
}
