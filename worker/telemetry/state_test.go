package telemetry_test

import (
	"sync/atomic"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/onceish/onceish/worker/telemetry"
)

func TestGaugesShowWhatIsFollowedUntilItEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	margin := -time.Hour
	stop := r.Follow(func() telemetry.State {
		return telemetry.State{
			Subscriptions: []telemetry.SubscriptionState{{
				Topic: "order.placed", Group: "billing", InFlight: 3, Unmarked: 2, Lag: 40, Behind: 90 * time.Second, TTLMargin: &margin,
			}},
			Outboxes: []telemetry.OutboxState{{Name: "shop.outbox", Depth: 5, Dead: 1, Oldest: time.Minute}},
			Groups:   []telemetry.GroupState{{Group: "billing", Members: 4}},
		}
	})
	r.wants(t, map[string]float64{
		"onceish.in_flight" + own: 3, "onceish.marks.waiting" + own: 2, "onceish.lag.events" + own: 40, "onceish.lag" + own: 90,
		"onceish.ttl.margin" + own: -3600, "onceish.outbox.depth{outbox=shop.outbox}": 5, "onceish.outbox.dead{outbox=shop.outbox}": 1,
		"onceish.outbox.oldest{outbox=shop.outbox}": 60, "onceish.members{group=billing}": 4,
	})
	stop()
	stop()
	if r.has(t, "onceish.in_flight") || r.has(t, "onceish.members") {
		t.Error("it is still followed")
	}
}

// Observers know of the pauses of groups, the state knows of those on the server: either counts.
func TestPauseOnTheServerIsShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := r.Observer("order.placed", "billing")
	var paused atomic.Bool
	defer r.Follow(func() telemetry.State {
		return telemetry.State{Subscriptions: []telemetry.SubscriptionState{{Topic: "order.placed", Group: "billing", Paused: paused.Load()}}}
	})()
	for _, onServer := range []bool{false, true} {
		for _, by := range [][]string{nil, {"somebody"}} {
			paused.Store(onServer)
			o.ObservePause(by)
			want := 0.0
			if onServer || by != nil {
				want = 1
			}
			r.wants(t, map[string]float64{"onceish.paused" + own: want})
		}
	}
}

// A gauge whose value is not known is left out: an old value would look like a new one.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	defer r.Follow(func() telemetry.State {
		return telemetry.State{
			Subscriptions: []telemetry.SubscriptionState{{Topic: "t", Group: "g", Lag: telemetry.Unknown, Behind: telemetry.Unknown}},
			Outboxes:      []telemetry.OutboxState{{Name: "o", Depth: telemetry.Unknown, Dead: telemetry.Unknown, Oldest: telemetry.Unknown}},
			Groups:        []telemetry.GroupState{{Group: "g", Members: telemetry.Unknown}},
		}
	})()
	for _, name := range []string{"onceish.lag.events", "onceish.lag", "onceish.ttl.margin", "onceish.outbox.depth", "onceish.outbox.dead", "onceish.outbox.oldest", "onceish.members"} {
		if r.has(t, name) {
			t.Errorf("%s is shown", name)
		}
	}
	if !r.has(t, "onceish.in_flight") {
		t.Error("what is known is left out as well")
	}
}

func TestNewNeedsAProviderAndCloseEndsTheCollection(t *testing.T) {
	t.Parallel()
	if _, err := telemetry.New(nil, nil); err == nil {
		t.Error("New(nil) is no error")
	}
	reader := sdkmetric.NewManualReader()
	m, err := telemetry.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), nil)
	must(t, err)
	r := &rig{Metrics: m, reader: reader}
	if !r.has(t, "onceish.build.info") {
		t.Error("there is no onceish.build.info")
	}
	must(t, m.Close())
	if r.has(t, "onceish.build.info") {
		t.Error("gauges are collected after Close")
	}
}
