package telemetry_test

import (
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// BenchmarkObserve measures one delivery: its outcome, its run and its answer.
func BenchmarkObserve(b *testing.B) {
	o := newRig(b).Observer("order.placed", "billing")
	b.ReportAllocs()
	for b.Loop() {
		o.Observe(consumer.Observation{Outcome: consumer.OutcomeHandled, Attempt: 1, Took: time.Millisecond})
		o.ObserveAnswer(bus.Position{}, nil)
	}
}
