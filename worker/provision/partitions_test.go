package provision_test

import (
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/worker/provision"
)

const partitioned = subscription + "    order: partitions:8\n"

// The stream of a topic with partitions takes them, whether it is made, or was made for the topic
// alone.
func TestStreamOfATopicWithPartitionsTakesThem(t *testing.T) {
	t.Parallel()
	want := []string{"order.placed", "order.placed.>"}
	s := newSite(t)
	s.apply(partitioned)
	if c := s.config(natsbus.StreamName("order.placed")); !slices.Equal(slices.Sorted(slices.Values(c.Subjects)), want) {
		t.Errorf("made with %v, want %v", c.Subjects, want)
	}
	s.keepsAll(partitioned)

	s = newSite(t)
	_, err := s.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MINE", Subjects: []string{"order.placed", "refund"}})
	must(t, err)
	s.publish("order.placed", "refund")
	if item := itemOf(t, s.apply(partitioned), "MINE"); item.Action != provision.Change || len(item.Fields) != 1 {
		t.Errorf("%+v", item)
	}
	if c := s.config("MINE"); !slices.Equal(slices.Sorted(slices.Values(c.Subjects)), append(want, "refund")) {
		t.Errorf("changed to %v", c.Subjects)
	}
	s.keepsAll(partitioned)
	s.publish("order.placed.of8.3")
}

// A topic that is published in partitions, and not read here, needs its stream as well.
func TestStreamOfPublishedPartitions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := subscription + "partitions: {paid: 3}\n"
	s.apply(file)
	s.publish("paid.of3.2")
	s.keepsAll(file)
}

// What foreign publishers send by key is stored in the partition that our own publishers compute,
// also after the number has changed, and a transform of somebody else stays.
func TestForeignPublishersReachThePartitionOfTheirKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	section := streams("{name: ORDERS, subjects: [order.>, dead.>], by_key: order.placed}")
	for _, n := range []string{"8", "3"} {
		file := subscription + "    order: partitions:" + n + "\n" + section
		s.apply(file)
		s.keepsAll(file)
		for _, key := range []string{"customer-17", "a.b", "ä"} {
			ack, err := s.js.Publish(t.Context(), "order.placed.by."+bus.KeyToken(key), []byte("{}"))
			must(t, err)
			stored, err := streamOf(t, s, "ORDERS").GetMsg(t.Context(), ack.Sequence)
			must(t, err)
			of := bus.Layout{"order.placed": int(n[0] - '0')}
			if want := of.Place(bus.Event{Topic: "order.placed", Key: key}).Topic + "." + bus.KeyToken(key); stored.Subject != want {
				t.Errorf("key %q is stored as %s, want %s", key, stored.Subject, want)
			}
		}
	}
	_, err := s.js.UpdateStream(t.Context(), jetstream.StreamConfig{
		Name: "ORDERS", Subjects: []string{"order.>", "dead.>"}, SubjectTransform: &jetstream.SubjectTransformConfig{Source: "order.a", Destination: "order.b"},
	})
	must(t, err)
	if item := itemOf(t, s.plan(partitioned+section), "ORDERS"); item.Action != provision.Refuse {
		t.Errorf("%+v; want another's transform to be refused", item)
	}
}

func streamOf(t *testing.T, s *site, name string) jetstream.Stream {
	t.Helper()
	found, err := s.js.Stream(t.Context(), name)
	must(t, err)
	return found
}
