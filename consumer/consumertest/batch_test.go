package consumertest_test

import (
	"context"
	"maps"
	"sync"
	"testing"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/consumer/consumertest"
)

// A handler of Batch is taken through the crash points as any other, in batches of as many events
// as the kit's processes handle at once. Calls with the context of an item are that event's.
func TestCrashPointsOfABatchHandler(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var charged map[string]int
	largest := 0
	setup := func() []bus.Event {
		mu.Lock()
		defer mu.Unlock()
		charged = map[string]int{}
		return []bus.Event{{ID: "1", Topic: "t"}, {ID: "2", Topic: "t"}, {ID: "3", Topic: "t"}}
	}
	charge := func(key string) func(context.Context) error {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			charged[key] = 1 // the service deduplicates by the key
			return nil
		}
	}
	handler := consumer.Batch(func(ctx context.Context, es []bus.Event) []error {
		mu.Lock()
		largest = max(largest, len(es))
		mu.Unlock()
		out := make([]error, len(es))
		for i, a := range consumer.BatchAttempts(ctx) {
			out[i] = consumertest.Call(consumer.ItemContext(ctx, i), "charge", charge(a.IdempotencyKey))
		}
		return out
	}, &consumer.BatchOptions{Size: 3})
	effects := func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(charged)
	}
	kit := consumertest.Kit{Options: &consumer.Options{Concurrency: 3}}
	report := kit.CrashPoints(t, setup, handler, effects)
	if !report.Once() {
		t.Error(report)
	}
	calls := 0
	for _, p := range report.Points {
		for _, event := range []string{"1", "2", "3"} {
			if p.Point == `crash after call "charge" (event `+event+`)` {
				calls++
			}
		}
	}
	if largest != 3 || calls != 3 {
		t.Errorf("the largest batch had %d events, and %d events have a crash point after their call, want 3 and 3:\n%s", largest, calls, report)
	}
}
