package jetstream_test

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// An observer is told of each call once, with what became of each event, before Publish returns; of
// a call for nothing there is nothing to tell.
func TestPublishIsObservedUntilTheObserverIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var calls, failed int
	w.bus.ObservePublish(func(events []bus.Event, receipts []bus.Receipt, took time.Duration) {
		if calls++; len(events) != 2 || len(receipts) != 2 || events[0].Topic != topic || receipts[0].Err != nil || took <= 0 {
			t.Errorf("observed %v: %v, %v", events, receipts, took)
		}
		if receipts[1].Err != nil {
			failed++
		}
	})
	refused := bus.Event{ID: "2", Topic: "no.stream.has.it"}
	if receipts, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic}, refused); err == nil || receipts[1].Err == nil {
		t.Errorf("Publish: %v, %v", receipts, err)
	}
	if _, err := w.bus.Publish(t.Context()); err != nil {
		t.Error(err)
	}
	if calls != 1 || failed != 1 {
		t.Errorf("%d calls and %d failures were observed", calls, failed)
	}
	w.bus.ObservePublish(nil)
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "3", Topic: topic}); err != nil || calls != 1 {
		t.Errorf("Publish: %v; %d calls were observed", err, calls)
	}
}
