package jetstream

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func TestAckPendingSteps(t *testing.T) {
	t.Parallel()
	p := ackPendingSteps{least: 50, most: 2_500}
	for waiting, want := range map[int]int{0: 50, 24: 50, 25: 100, 50: 200, 99: 200, 100: 400, 799: 1_600, 800: 2_500, 9_999: 2_500} {
		if got := p.stepFor(waiting); got != want {
			t.Errorf("fit(%d) = %d; want %d", waiting, got, want)
		}
	}
	for _, tt := range []struct{ limit, unsettled, want int }{
		{50, 50, 50}, {20, 0, 50}, {-1, 0, 50}, {9_999, 0, 50}, // of somebody else's
		{800, 100, 800}, {800, 99, 200}, {100, 0, 50},
	} {
		if got := p.keepLimit(tt.limit, tt.unsettled); got != tt.want {
			t.Errorf("keep(%d, %d) = %d; want %d", tt.limit, tt.unsettled, got, tt.want)
		}
	}
}

func maxAckPending(t *testing.T, b *Bus, s *Source) int {
	t.Helper()
	c, err := b.consumerInfo(t.Context(), "orders", s.consumer)
	if err != nil {
		t.Fatal(err)
	}
	return c.Config.MaxAckPending
}

// nackAll gets n events and nacks them with a delay.
func nackAll(t *testing.T, s *Source, n int, delay time.Duration) {
	t.Helper()
	for _, d := range get(t, s, n) {
		if err := d.Nak(t.Context(), delay); err != nil {
			t.Fatal(err)
		}
	}
}

// The limit is raised while events wait, is not lowered by who subscribes then, and is
// lowered after.
func TestMaxAckPendingFollowsWhatWaits(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{MaxUnsettled: 4, CheckInterval: 20 * time.Millisecond})
	for i := range 9 {
		put(t, b, fmt.Sprint(i))
	}
	nackAll(t, s, 4, 5*time.Second)
	nackAll(t, s, 4, 5*time.Second)
	get(t, s, 1)
	raised := maxAckPending(t, b, s)
	if raised <= 8 {
		t.Fatalf("max_ack_pending is %d; want it raised", raised)
	}
	other, err := b.Subscribe(t.Context(), "orders.new", "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close(context.Background()) })
	if got := maxAckPending(t, b, s); got < raised {
		t.Errorf("max_ack_pending is %d after another process subscribed; want %d", got, raised)
	}
	for _, d := range get(t, s, 8) {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for limit := time.Now().Add(15 * time.Second); maxAckPending(t, b, s) != 4; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("max_ack_pending is %d, and nothing waits; want it lowered to 4", maxAckPending(t, b, s))
		}
	}
	if err := s.Healthy(); err != nil {
		t.Errorf("Healthy: %v", err)
	}
}

// Where the limit cannot be raised, the source says so and why.
func TestHealthyTellsWhyMaxAckPendingIsNotRaised(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options Options
		want    string
	}{
		"bind only":   {Options{MaxUnsettled: 4, BindOnly: true}, "nats consumer edit"},
		"the ceiling": {Options{MaxUnsettled: 4, MaxAckPending: 4}, "Options.MaxAckPending is 4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := openSource(t, &Options{MaxUnsettled: 4, CheckInterval: time.Hour})
			o := tt.options
			o.CheckInterval, o.Logger = 20*time.Millisecond, b.log
			limited, err := New(b.nc, &o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(limited.Close)
			src, err := limited.Subscribe(t.Context(), "orders.new", "g", nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = src.Close(context.Background()) })
			for i := range 5 {
				put(t, b, fmt.Sprint(i))
			}
			bound := src.(*Source)
			nackAll(t, bound, 4, time.Hour)
			unhealthy(t, bound, tt.want)
			if info, err := bound.Info(t.Context()); err != nil || info.MaxUnsettled != 4 {
				t.Errorf("Info: %+v, %v; want a bound of 4", info, err)
			}
			if got := maxAckPending(t, b, s); got != 4 {
				t.Errorf("max_ack_pending is %d; want 4", got)
			}
		})
	}
}

// A process that was started after others filled the limit with events that wait, and died before
// they raised it, raises it once the deadline of their deliveries has passed.
func TestMaxAckPendingIsRaisedForWhatOthersLeft(t *testing.T) {
	t.Parallel()
	b, s := openSource(t, &Options{MaxUnsettled: 4, MaxAckPending: 4})
	for i := range 5 {
		put(t, b, fmt.Sprint(i))
	}
	nackAll(t, s, 4, time.Hour)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := New(b.nc, &Options{MaxUnsettled: 4, CheckInterval: 100 * time.Millisecond, Logger: b.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Close)
	src, err := next.Subscribe(t.Context(), "orders.new", "g", &bus.SubscribeOptions{AckWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) })
	for limit := time.Now().Add(15 * time.Second); ; {
		ds, err := src.Fetch(t.Context(), 1)
		if err != nil || time.Now().After(limit) {
			t.Fatalf("Fetch: %v, healthy: %v; want the event behind those that wait", err, src.Healthy())
		}
		if len(ds) > 0 {
			break
		}
		if err := src.Healthy(); err != nil && !strings.Contains(err.Error(), "4 unsettled deliveries") {
			t.Fatalf("Healthy: %v", err)
		}
	}
}
