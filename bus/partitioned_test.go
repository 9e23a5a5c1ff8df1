package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
)

// publishedEvents is a Publisher that keeps what it is given.
type publishedEvents struct{ events []bus.Event }

func (r *publishedEvents) Publish(_ context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	r.events = append(r.events, events...)
	return make([]bus.Receipt, len(events)), nil
}

func TestPartitionedPublishesByKey(t *testing.T) {
	t.Parallel()
	var r publishedEvents
	events := []bus.Event{
		{ID: "1", Topic: "a", Key: "k"},
		{ID: "2", Topic: "a", Key: "k"},
		{ID: "1", Topic: "a"},
		{ID: "3", Topic: "a.of4.1", Key: "k"},
		{ID: "4", Topic: "a.of4.1.k"},
		{ID: "5", Topic: "not.*.valid"},
		{ID: "6"},
	}
	receipts, err := bus.Partitioned(&r, 8).Publish(t.Context(), events...)
	if err != nil || len(receipts) != len(events) {
		t.Fatalf("Publish: %v, %v", receipts, err)
	}
	ofKey := bus.Partition{Topic: "a", Of: 8, Number: bus.PartitionOf("k", 8)}.Name()
	ofID := bus.Partition{Topic: "a", Of: 8, Number: bus.PartitionOf("1", 8)}.Name()
	for i, want := range []bus.Event{
		{Topic: ofKey, Key: "k"}, {Topic: ofKey, Key: "k"}, {Topic: ofID}, {Topic: ofKey, Key: "k"}, {Topic: ofKey, Key: "k"}, {Topic: "not.*.valid"}, {},
	} {
		if got := r.events[i]; got.Topic != want.Topic || got.Key != want.Key || got.ID != events[i].ID {
			t.Errorf("event %d is published as %+v; want topic %q and key %q", i, got, want.Topic, want.Key)
		}
	}
	if events[0].Topic != "a" {
		t.Errorf("Publish changed the caller's event: %+v", events[0])
	}
}

func TestPartitionedRefusesNumbers(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, 0, bus.MaxPartitions + 1} {
		e := bus.Event{ID: "1", Topic: "a"}
		if got := bus.ToPartition(e, n); got.Topic != e.Topic {
			t.Errorf("in %d partitions the event has topic %q", n, got.Topic)
		}
		var r publishedEvents
		receipts, err := bus.Partitioned(&r, n).Publish(t.Context(), bus.Event{ID: "1", Topic: "a"}, bus.Event{ID: "2", Topic: "a"})
		if err == nil || len(receipts) != 2 || !errors.Is(err, receipts[1].Err) || receipts[0].Err == nil || len(r.events) > 0 || !strings.Contains(err.Error(), "1 to 1024") {
			t.Errorf("with %d partitions: %v, %v, and %v are published", n, receipts, err, r.events)
		}
	}
	for _, n := range []int{1, bus.MaxPartitions} {
		if _, err := bus.Partitioned(&publishedEvents{}, n).Publish(t.Context(), bus.Event{ID: "1", Topic: "a"}); err != nil {
			t.Errorf("with %d partitions: %v", n, err)
		}
	}
}
