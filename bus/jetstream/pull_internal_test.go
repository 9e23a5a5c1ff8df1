package jetstream

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/internal/testing/natstest"
)

// The server forgets pulls with the connection: after a reconnect they are sent again at once, not
// when their time would be over.
func TestPullsAreForgottenWithTheirConnection(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	b, err := New(nc, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"t"}}); err != nil {
		t.Fatal(err)
	}
	src, err := b.Subscribe(t.Context(), "t", "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := src.(*Source)
	if !ok {
		t.Fatalf("the source is a %T", src)
	}
	t.Cleanup(func() { _ = s.Close(t.Context()) })
	if err := s.requestDeliveries(10); err != nil || s.pulling.requested != 10 {
		t.Fatalf("asked for %d, %v; want 10", s.pulling.requested, err)
	}
	sent := s.pulling.nextNumber()
	// As after a reconnect, once the consumer was seen to be ours again.
	state := &connectionState{up: true, reconnects: s.b.link.current().reconnects + 1, changed: make(chan struct{})}
	b.link.state.Store(state)
	s.verified.Store(state)
	if err := s.requestDeliveries(10); err != nil || s.pulling.nextNumber() != sent+1 {
		t.Errorf("%d pulls after the reconnect, %v; want one", s.pulling.nextNumber()-sent, err)
	}
}
