package bus_test

import (
	"context"
	"testing"

	"github.com/onceish/onceish/bus"
)

func TestLayoutPlacesEventsByTopicAndKey(t *testing.T) {
	t.Parallel()
	layout := bus.Layout{"order.placed": 8, "other": 3}
	of := func(topic, key string, n int) string {
		return bus.Partition{Topic: topic, Of: n, Number: bus.PartitionOf(key, n)}.Name()
	}
	for _, c := range []struct {
		event bus.Event
		want  string
		key   string
	}{
		{bus.Event{Topic: "order.placed", ID: "1", Key: "k"}, of("order.placed", "k", 8), "k"},
		{bus.Event{Topic: "order.placed", ID: "1"}, of("order.placed", "1", 8), ""},
		{bus.Event{Topic: "order.placed.of16.3", ID: "1", Key: "k"}, of("order.placed", "k", 8), "k"},
		{bus.Event{Topic: "order.placed.of16.3.a%2Eb", ID: "1"}, of("order.placed", "a.b", 8), "a.b"},
		{bus.Event{Topic: "plain", ID: "1", Key: "k"}, "plain", "k"},
		{bus.Event{Topic: "plain.of4.1.k", ID: "1"}, "plain", "k"},
		{bus.Event{Topic: "other", ID: "1", Key: "k"}, of("other", "k", 3), "k"},
	} {
		if got := layout.Place(c.event); got.Topic != c.want || got.Key != c.key || got.ID != c.event.ID {
			t.Errorf("%+v is placed as %+v, want topic %q and key %q", c.event, got, c.want, c.key)
		}
	}
}

// topics are those of what is published.
type topics []string

func (p *topics) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	for i := range events {
		*p = append(*p, events[i].Topic)
	}
	return make([]bus.Receipt, len(events)), nil
}

func TestLayoutRefusesNumbersThatNoTopicHas(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, -1, bus.MaxPartitions + 1} {
		var published topics
		receipts, err := bus.Layout{"t": n}.Publisher(&published).Publish(t.Context(), bus.Event{Topic: "t", ID: "1"}, bus.Event{Topic: "u", ID: "2"})
		if err == nil || len(receipts) != 2 || receipts[0].Err == nil || receipts[1].Err == nil || len(published) > 0 {
			t.Errorf("%d: %v, %v, published to %v", n, receipts, err, published)
		}
	}
	var published topics
	if _, err := (bus.Layout{"t": 1}).Publisher(&published).Publish(t.Context(), bus.Event{Topic: "t", ID: "1"}, bus.Event{Topic: "u", ID: "2"}); err != nil ||
		len(published) != 2 || published[0] != "t.of1.0" || published[1] != "u" {
		t.Errorf("published to %v, %v", published, err)
	}
}
