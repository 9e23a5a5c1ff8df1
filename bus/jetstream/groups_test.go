package jetstream_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

// Groups are listed under their own names, whatever these are, with what waits for them; consumers
// of others are none.
func TestGroupsAreListedWithWhatWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.makeConsumer(t, func(*jetstream.ConsumerConfig) {}) // as an older version made it
	for name, on := range map[string]string{"mail & more": "orders.>", "audit": "orders.*"} {
		src, err := w.bus.Subscribe(t.Context(), on, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: "someone-orders-else", FilterSubject: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic}, bus.Event{ID: "2", Topic: topic}); err != nil {
		t.Fatal(err)
	}
	var groups []natsbus.Group
	eventually(t, "2 pending events", func() bool { // the server counts them a little later than it confirms them
		var err error
		if groups, err = w.bus.Groups(t.Context()); err != nil || len(groups) != 3 {
			t.Fatalf("%+v, %v", groups, err)
		}
		return !slices.ContainsFunc(groups, func(g natsbus.Group) bool { return g.Pending < 2 })
	})
	for i, want := range [][2]string{{"audit", "orders.*"}, {group, topic}, {"mail & more", "orders.>"}} {
		if g := groups[i]; g.Name != want[0] || g.Topic != want[1] || g.Stream != stream || g.Consumer != natsbus.ConsumerName(want[0], want[1]) || g.Pending != 2 || g.Idle != 0 {
			t.Errorf("%+v, want %v", g, want)
		}
	}
}

// What was delivered and what is acknowledged tells where a group stands, at the server's time.
func TestGroupsAreListedWithWhereTheyStand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	src := w.subscribe(t, nil)
	receipts, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic}, bus.Event{ID: "2", Topic: topic}, bus.Event{ID: "3", Topic: topic})
	if err != nil {
		t.Fatal(err)
	}
	var ds []*bus.Delivery
	for len(ds) < 2 {
		more, err := src.Fetch(t.Context(), 2-len(ds))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, more...)
	}
	if err := ds[0].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := src.Close(t.Context()); err != nil { // flushes
		t.Fatal(err)
	}
	groups, err := w.bus.Groups(t.Context())
	if err != nil || len(groups) != 1 {
		t.Fatalf("%+v, %v", groups, err)
	}
	if g := groups[0]; g.Floor != receipts[0].Sequence || g.Delivered != receipts[1].Sequence || g.Now.Before(ds[1].At.Stored) {
		t.Errorf("%+v", g)
	}
}

// A group is removed when it has no members, and only then: a member would make the consumer again.
func TestGroupWithMembersIsNotRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	src := w.subscribe(t, nil)
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Fetch(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	g := natsbus.Group{Name: group, Topic: topic, Stream: stream, Consumer: name}
	if err := w.bus.RemoveGroup(t.Context(), g, false); !errors.Is(err, natsbus.ErrGroupRuns) {
		t.Errorf("with an event that is not settled: %v", err)
	}
	if w.consumer(t) == nil {
		t.Error("the consumer is gone")
	}
	if err := src.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.bus.RemoveGroup(t.Context(), g, true); err != nil {
			t.Error(err)
		}
	}
	if groups, err := w.bus.Groups(t.Context()); err != nil || len(groups) > 0 {
		t.Errorf("%+v, %v", groups, err)
	}
}

// A member that waits for events shows as one: nobody's word goes before that.
func TestGroupThatWaitsForEventsIsNotRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.makeConsumer(t, func(*jetstream.ConsumerConfig) {})
	pulling, err := w.js.Consumer(t.Context(), stream, name)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := pulling.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	next := make(chan error, 1)
	go func() {
		_, err := messages.Next()
		next <- err
	}()
	eventually(t, "a pull", func() bool { return w.consumer(t).NumWaiting > 0 })
	g := natsbus.Group{Name: group, Topic: topic, Stream: stream, Consumer: name}
	if err := w.bus.RemoveGroup(t.Context(), g, true); !errors.Is(err, natsbus.ErrGroupRuns) {
		t.Error(err)
	}
	messages.Stop()
	<-next
}

// On a work queue an event has one group: whoever comes second is told who has its events,
// and what to do.
func TestSecondGroupOnAWorkQueueIsToldWhoHasItsEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "work", Subjects: []string{"work.>"}, Retention: jetstream.WorkQueuePolicy})
	src, err := w.bus.Subscribe(t.Context(), "work.*", "billing", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close(t.Context()) }()
	foreign := jetstream.ConsumerConfig{Durable: "audit", FilterSubjects: []string{"work.b.x", "work.c.x"}, AckPolicy: jetstream.AckExplicitPolicy}
	if _, err := w.js.CreateConsumer(t.Context(), "work", foreign); err != nil {
		t.Fatal(err)
	}
	_, err = w.bus.Subscribe(t.Context(), "work.a", "mail", nil)
	if err != nil && strings.Contains(err.Error(), "audit") {
		t.Errorf("%v\nnames a consumer of other subjects", err)
	}
	for _, want := range []string{"work queue", `group "billing" on topic "work.*" has those that match`, "worker groups remove", "10100"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
