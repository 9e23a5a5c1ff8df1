package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/flow"
)

const own = "{group=billing,topic=order.placed}"

func with(label string) string { return "{group=billing," + label + ",topic=order.placed}" }

func TestDeliveriesAreCountedByOutcome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	for range 3 {
		o.Observe(consumer.Observation{Outcome: consumer.OutcomeHandled, Attempt: 2, Took: time.Second})
	}
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeDuplicate})
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeFailed, Attempt: 1, Err: consumer.ErrRunLimit})
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeLost})
	r.wants(t, map[string]float64{
		"onceish.deliveries" + with("outcome=handled"):   3,
		"onceish.deliveries" + with("outcome=duplicate"): 1,
		"onceish.deliveries" + with("outcome=failed"):    1,
		"onceish.deliveries" + with("outcome=lost"):      1,
		"onceish.fenced" + own:                           1,
		"onceish.attempts" + with("outcome=handled"):     3,
		"messaging.process.duration{consumer.group.name=billing,destination.name=order.placed,operation.name=process}":                      3,
		"messaging.process.duration{consumer.group.name=billing,destination.name=order.placed,error.type=run_limit,operation.name=process}": 1,
	})
}

// TestCountersAreThereBeforeTheyGrow: Prometheus sees no growth in the first value of a series.
func TestCountersAreThereBeforeTheyGrow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Observer("order.placed", "billing")
	r.wants(t, map[string]float64{
		"onceish.fenced" + own:                               0,
		"onceish.dead_letters" + with("reason=permanent"):    0,
		"onceish.dead_letters" + with("reason=too_old"):      0,
		"onceish.dead_letters" + with("reason=unidentified"): 0,
		"onceish.dead_letters" + with("reason=other"):        0,
	})
}

// An event that was dead-lettered without a run has no attempt that it died with.
func TestDeadLettersAreCountedByTheClassOfTheirReason(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	for reason, attempt := range map[string]int{"permanent": 1, "failed 10 times, the last time with": 10, "too old": 3, "malformed": 0, "what else": 1} {
		o.Observe(consumer.Observation{Outcome: consumer.OutcomeDead, Attempt: attempt, Reason: reason})
	}
	r.wants(t, map[string]float64{
		"onceish.dead_letters" + with("reason=permanent"): 1,
		"onceish.dead_letters" + with("reason=failed"):    1,
		"onceish.dead_letters" + with("reason=too_old"):   1,
		"onceish.dead_letters" + with("reason=malformed"): 1,
		"onceish.dead_letters" + with("reason=other"):     1,
		"onceish.attempts" + with("outcome=dead"):         4,
	})
}

func TestCallsOfBusAndStoreAreTimed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	o.ObserveFetch(consumer.Fetch{Wanted: 10, Events: 7, Took: time.Second})
	o.ObserveFetch(consumer.Fetch{Wanted: 10, Err: bus.ErrConsumerLost})
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeDuplicate})
	o.ObserveAnswer(bus.Position{}, nil)
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeDuplicate})
	o.ObserveAnswer(bus.Position{}, bus.ErrClosed)
	o.ObserveStoreCall(consumer.StoreCall{Operation: "claim", Items: 5, Took: time.Millisecond})
	o.ObserveStoreCall(consumer.StoreCall{Operation: "claim", Items: 5, Err: context.DeadlineExceeded})
	o.ObserveLimitWait(time.Second, false)
	o.ObserveBatch(consumer.BatchRun{Size: 7, End: consumer.BatchEndWait})
	const at = "{consumer.group.name=billing,destination.name=order.placed,"
	r.wants(t, map[string]float64{
		"messaging.client.consumed.messages" + at + "operation.name=receive}":                              7,
		"messaging.client.operation.duration" + at + "operation.name=receive}":                             1,
		"messaging.client.operation.duration" + at + "error.type=consumer_lost,operation.name=receive}":    1,
		"messaging.client.operation.duration" + at + "operation.name=settle}":                              1,
		"messaging.client.operation.duration" + at + "error.type=closed,operation.name=settle}":            1,
		"onceish.store.call.duration{group=billing,operation=claim,topic=order.placed}":                    1,
		"onceish.store.call.duration{error_type=timeout,group=billing,operation=claim,topic=order.placed}": 1,
		"onceish.store.call.items{group=billing,operation=claim,topic=order.placed}":                       2,
		"onceish.limiter.wait" + own:                                    1,
		"onceish.batch.size{end=wait,group=billing,topic=order.placed}": 1,
	})
}

func TestPublishingIsCountedByTopicAndError(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ObservePublish([]bus.Event{{Topic: "a"}, {Topic: "a"}, {Topic: "b"}}, []bus.Receipt{{}, {Err: bus.ErrNoStream}, {}}, time.Second)
	r.ObservePublish([]bus.Event{{Topic: "a"}}, []bus.Receipt{{}}, time.Second)
	r.ObservePublish(nil, nil, 0)
	r.wants(t, map[string]float64{
		"messaging.client.sent.messages{destination.name=a,operation.name=send}":                      2,
		"messaging.client.sent.messages{destination.name=a,error.type=no_stream,operation.name=send}": 1,
		"messaging.client.sent.messages{destination.name=b,operation.name=send}":                      1,
		"messaging.client.operation.duration{error.type=no_stream,operation.name=send}":               1,
		"messaging.client.operation.duration{destination.name=a,operation.name=send}":                 1,
	})
}

// An error's class is told by what it is, never by what it says.
func TestErrorsHaveAClassAndNoText(t *testing.T) {
	t.Parallel()
	for class, err := range map[string]error{
		"permanent":           consumer.Permanent(errors.New("secret")),
		"throttled":           fmt.Errorf("secret: %w", consumer.Throttled(0, errors.New("secret"))),
		"unavailable":         consumer.Unavailable(errors.New("secret")),
		"snoozed":             consumer.Snooze(time.Minute),
		"timeout":             consumer.Permanent(fmt.Errorf("secret: %w", context.DeadlineExceeded)),
		"lease_lost":          consumer.ErrLeaseLost,
		"store_full":          dedupe.ErrFull,
		"refused":             fmt.Errorf("secret: %w", bus.ErrRefused),
		"other":               errors.New("secret"),
		"telemetry_test.mine": errors.Join(fmt.Errorf("secret: %w", &mine{})),
	} {
		r := newRig(t)
		r.Observer("t", "g").Observe(consumer.Observation{Outcome: consumer.OutcomeFailed, Attempt: 1, Err: err})
		r.wants(t, map[string]float64{
			"messaging.process.duration{consumer.group.name=g,destination.name=t,error.type=" + class + ",operation.name=process}": 1,
		})
	}
}

type mine struct{}

func (*mine) Error() string { return "secret" }

func TestPauseWatermarkAndBreakerAreGauges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	r.wants(t, map[string]float64{"onceish.paused" + own: 0})
	if r.has(t, "onceish.watermark.age") || r.has(t, "onceish.breaker.state") {
		t.Error("there is neither a watermark nor a breaker yet")
	}
	o.ObservePause([]string{"group"})
	o.ObserveWatermark(bus.Position{Sequence: 7})
	r.wants(t, map[string]float64{"onceish.paused" + own: 1})
	if age := r.series(t)["onceish.watermark.age"+own]; age < 0 || age > 60 || !r.has(t, "onceish.watermark.age") {
		t.Errorf("the watermark is %v s old", age)
	}
	o.ObservePause(nil)
	r.wants(t, map[string]float64{"onceish.paused" + own: 0})
}

// A gate that only bounds what runs at once is no breaker.
func TestBreakerIsInTheStateThatHoldsBackMost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	o.ObserveCapacity(1, flow.Capacity{Limit: 1, Reason: "adaptive"})
	if r.has(t, "onceish.breaker.state") {
		t.Fatal("an adaptive limit is shown as a breaker")
	}
	for _, step := range []struct {
		gate, limit int
		state       string
	}{{2, -1, "closed"}, {2, 0, "open"}, {2, 1, "half_open"}, {2, 8, "half_open"}, {3, 0, "open"}, {3, -1, "half_open"}, {2, -1, "closed"}} {
		o.ObserveCapacity(step.gate, flow.Capacity{Limit: step.limit})
		want := make(map[string]float64)
		for _, state := range []string{"closed", "half_open", "open"} {
			want["onceish.breaker.state"+with("state="+state)] = 0
		}
		want["onceish.breaker.state"+with("state="+step.state)] = 1
		for range 20 { // whichever breaker is looked at first
			r.wants(t, want)
		}
	}
}
