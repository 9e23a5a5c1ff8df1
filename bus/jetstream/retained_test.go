package jetstream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// TestRetainedCountsWhatAStreamHas of a topic; for a pattern, of all topics; of a stream that
// deletes what is handled, nothing.
func TestRetainedCountsWhatAStreamHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other := topic + "-other"
	makeStream(t, w.js, jetstream.StreamConfig{Name: "jobs", Subjects: []string{"jobs"}, Retention: jetstream.WorkQueuePolicy})
	receipts, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic}, bus.Event{ID: "2", Topic: other}, bus.Event{ID: "3", Topic: topic}, bus.Event{ID: "4", Topic: "jobs"})
	if err != nil {
		t.Fatal(err, receipts)
	}
	for asked, want := range map[string]uint64{topic: 2, other: 1, "orders.>": 3, "orders.none": 0, "jobs": 0} {
		n, over, err := w.bus.Retained(t.Context(), asked)
		if err != nil || n != want || over < 0 || over > time.Minute {
			t.Errorf("%s: %d events over %v, %v, want %d", asked, n, over, err, want)
		}
	}
	if _, _, err := w.bus.Retained(t.Context(), "nowhere"); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("a topic without a stream: %v", err)
	}
}
