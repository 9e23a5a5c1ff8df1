package hunt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// A hot key without any failure: 2,000 events of 10 ms each. 20 events of other keys come after the first 700. 16 slots, one is busy.
func TestHotKeyStarvesOthers(t *testing.T) {
	b, _ := membus.New(nil)
	st, _ := memdedupe.New(nil)
	ctx := context.Background()
	const hot = 2000
	pub := func(from, to int) {
		for i := from; i < to; i++ {
			_, _ = b.Publish(ctx, bus.Event{ID: fmt.Sprint("hot", i), Topic: "t", Key: "hot"})
		}
	}
	pub(0, 700)
	for i := range 20 {
		_, _ = b.Publish(ctx, bus.Event{ID: fmt.Sprint("inno", i), Topic: "t", Key: fmt.Sprint("k", i)})
	}
	pub(700, hot)
	var mu sync.Mutex
	var when []time.Duration
	hots := 0
	began := time.Now()
	sub, err := consumer.SubscribeExactlyOnce(ctx, b, "t", "g", st, func(_ context.Context, e bus.Event) error {
		if e.Key == "hot" {
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			hots++
			mu.Unlock()
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		when = append(when, time.Since(began).Round(10*time.Millisecond))
		return nil
	}, &consumer.Options{Logger: quiet(), Drain: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		time.Sleep(time.Second)
		if sub.Stats().Handled == hot+20 {
			break
		}
	}
	mu.Lock()
	t.Logf("after %v: hot %d, others' latencies %v, stats %+v", time.Since(began).Round(time.Second), hots, when, sub.Stats())
	mu.Unlock()
	_ = sub.Drain(ctx)
}

// slowSettle is a store whose marks take a while, or never come.
type slowSettle struct {
	*memdedupe.Store
	delay time.Duration
	down  atomic.Bool
}

func (s *slowSettle) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	if s.down.Load() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
			return nil, errors.New("away")
		}
	}
	time.Sleep(s.delay)
	return s.Store.Settle(ctx, ss)
}

func (s *slowSettle) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	if s.down.Load() {
		time.Sleep(50 * time.Millisecond)
		return nil, errors.New("away")
	}
	return s.Store.Claim(ctx, rs)
}

// How many effects are made and not marked, at a moment at which the process may be killed?
func TestUnmarked(t *testing.T) {
	for _, tc := range []struct {
		conc   int
		run    time.Duration
		settle time.Duration
		down   bool
	}{
		{1, 0, 0, false}, {1, 0, 5 * time.Millisecond, false}, {1, time.Millisecond, 100 * time.Millisecond, false}, {1, time.Millisecond, time.Second, false},
		{16, 0, 5 * time.Millisecond, false}, {16, time.Millisecond, 20 * time.Millisecond, false}, {16, time.Millisecond, 200 * time.Millisecond, false}, {16, 10 * time.Millisecond, time.Second, false},
		{1, time.Millisecond, 0, true}, {16, time.Millisecond, 0, true},
	} {
		t.Run(fmt.Sprintf("concurrency=%d run=%v mark=%v down=%v", tc.conc, tc.run, tc.settle, tc.down), func(t *testing.T) {
			b, _ := membus.New(nil)
			m, _ := memdedupe.New(nil)
			st := &slowSettle{Store: m, delay: tc.settle}
			ctx := context.Background()
			for i := range 30_000 {
				_, _ = b.Publish(ctx, bus.Event{ID: fmt.Sprint(i), Topic: "t"})
			}
			var effects atomic.Int64
			sub, err := consumer.SubscribeExactlyOnce(ctx, b, "t", "g", st, func(context.Context, bus.Event) error {
				if tc.run > 0 {
					time.Sleep(tc.run)
				}
				effects.Add(1)
				return nil
			}, &consumer.Options{Logger: quiet(), Concurrency: tc.conc, Drain: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			most := int64(0)
			for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); time.Sleep(200 * time.Microsecond) {
				s := sub.Stats()
				most = max(most, effects.Load()-int64(s.Handled))
				if tc.down && time.Until(end) < 1500*time.Millisecond {
					st.down.Store(true)
				}
			}
			t.Logf("at most %d effects made and not marked (%d handled)", most, sub.Stats().Handled)
			_ = sub.Drain(ctx)
		})
	}
}
