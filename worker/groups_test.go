package worker

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestGroupWithAMemberKeepsAllItsTopics: nothing of a group is removed while it has a member
// on one topic.
func TestGroupWithAMemberKeepsAllItsTopics(t *testing.T) {
	t.Parallel()
	c, store := connectWithStore(t, natstest.Start(t, nil).URL())
	done := make(chan struct{}, 1)
	handler := func(context.Context, bus.Event) error { done <- struct{}{}; return nil }
	var members []*consumer.Subscription
	for _, topic := range []string{"a", "b"} {
		s, err := consumer.SubscribeExactlyOnce(t.Context(), c.Bus(), topic, "g", store, handler, nil)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, s)
		if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: topic}); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	for left := len(members); left > 0; left-- {
		if r, err := c.RemoveGroup(t.Context(), "g", false); !errors.Is(err, natsbus.ErrGroupRuns) || r != (Removed{}) {
			t.Errorf("%d members: removed %+v, %v; want ErrGroupRuns", left, r, err)
		}
		if all, err := c.Groups(t.Context()); err != nil || len(all) != len(members) {
			t.Fatalf("%d members: the group is on %d topics, %v", left, len(all), err)
		}
		if err := members[len(members)-left].Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.RemoveGroup(t.Context(), "g", true); err != nil || r.Consumers != 2 || r.Marks == 0 {
		t.Errorf("no members: removed %+v, %v", r, err)
	}
}

// TestGroupWithoutAConsumerKeepsItsMarks: a worker that runs makes its consumer again, and would
// run all that it had done once more.
func TestGroupWithoutAConsumerKeepsItsMarks(t *testing.T) {
	t.Parallel()
	c, store := connectWithStore(t, natstest.Start(t, nil).URL())
	key := dedupe.Key{Topic: "t", Group: "g", ID: "1"}
	errs, err := store.Mark(t.Context(), []dedupe.Mark{{Key: key, State: dedupe.Done, TTL: time.Hour}})
	if err = errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	if r, err := c.RemoveGroup(t.Context(), "g", false); !errors.Is(err, ErrNoConsumer) || r != (Removed{}) {
		t.Errorf("removed %+v, %v; want ErrNoConsumer", r, err)
	}
	if r, err := c.RemoveGroup(t.Context(), "g", true); err != nil || r.Marks != 1 {
		t.Errorf("removed %+v, %v; want the mark", r, err)
	}
}

// TestGroupIsRemovedRightAfterItsLastEvent: what it did before the first look is no sign of a
// member, however long the answers take.
func TestGroupIsRemovedRightAfterItsLastEvent(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	p, err := proxy.New(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	far, _ := connectWithStore(t, "nats://"+p.Addr())
	near, _ := connectWithStore(t, srv.URL())
	makeGroup(t, near)
	p.Delay(proxy.ToClient, 100*time.Millisecond)
	handleLast(t, near, "1")
	if r, err := far.RemoveGroup(t.Context(), "g", false); err != nil || r.Consumers != 1 {
		t.Errorf("removed %+v, %v; want the consumer", r, err)
	}
}

// TestGroupWhoseEventsMoveIsNotRemoved, though no request for events waits and somebody is sure
// that it has no members.
func TestGroupWhoseEventsMoveIsNotRemoved(t *testing.T) {
	t.Parallel()
	c, _ := connectWithStore(t, natstest.Start(t, nil).URL())
	makeGroup(t, c)
	removed := make(chan error, 1)
	go func() {
		_, err := c.RemoveGroup(t.Context(), "g", true)
		removed <- err
	}()
	for n := 1; ; n++ {
		select {
		case err := <-removed:
			if !errors.Is(err, natsbus.ErrGroupRuns) {
				t.Errorf("after %d events: %v, want ErrGroupRuns", n, err)
			}
			return
		default:
			handleLast(t, c, strconv.Itoa(n))
		}
	}
}

// connectWithStore connects until the test ends, and opens the store.
func connectWithStore(t *testing.T, url string) (*Connections, dedupe.Store) {
	t.Helper()
	c, err := Connect(t.Context(), &ConnectOptions{NATS: url, Provision: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	store, err := c.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, store
}

// makeGroup leaves a group "g" on topic "t" that has no members.
func makeGroup(t *testing.T, c *Connections) {
	t.Helper()
	store, err := c.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	member, err := consumer.SubscribeExactlyOnce(t.Context(), c.Bus(), "t", "g", store, func(context.Context, bus.Event) error { return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// handleLast publishes an event to "t", and acknowledges it for "g" without asking for another.
func handleLast(t *testing.T, c *Connections, id string) {
	t.Helper()
	if _, err := c.Bus().Publish(t.Context(), bus.Event{ID: id, Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	durable, err := js.Consumer(t.Context(), natsbus.StreamName("t"), natsbus.ConsumerName("g", "t"))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := durable.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
}
