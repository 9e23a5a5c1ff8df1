package jetstream

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/testing/natstest"
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
		stream, consumer, err := s.readConsumer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for delivered, pending := range want {
			consumer.NumPending, consumer.Delivered.Stream = 0, delivered
			if got := s.countPending(t.Context(), stream, consumer); got != pending {
				t.Errorf("%s: %d pending behind sequence %d, want %d", topic, got, delivered, pending)
			}
		}
	}
}

// A user who may not look at single events is told the server's count, and not that one event is
// pending for ever. It is asked for once: what is refused is not answered, and each time would be
// waited for.
func TestPendingIsTheServersCountWithoutThePermissionToLook(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *server.Options) {
		deny := &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.MSG.GET.>"}}
		o.Users = []*server.User{
			{Username: "worker", Password: "worker", Permissions: &server.Permissions{Publish: deny}},
		}
	})
	nc := srv.Connect(t, nats.UserInfo("worker", "worker"))
	b, err := New(nc, &Options{APITimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	config := jetstream.StreamConfig{Name: "orders", Subjects: []string{"orders.>"}}
	if _, err := b.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), bus.Event{ID: "1", Topic: "orders.paid"}); err != nil {
		t.Fatal(err)
	}
	src, err := b.Subscribe(t.Context(), "orders.new", "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := src.(*Source)
	for range 2 {
		if info, err := s.Info(t.Context()); err != nil || info.Pending != 0 || !s.cannotReadEvents.Load() {
			t.Errorf("%d pending, %v; want none, and that the source knows why", info.Pending, err)
		}
	}
}
