package flow_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
)

func newLocal(t testing.TB, r flow.Rate, o *flow.LocalOptions) *flow.Local {
	t.Helper()
	l, err := flow.NewLocal(r, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func allow(t testing.TB, l flow.Limiter, key string, n int) flow.Decision {
	t.Helper()
	d, err := l.Allow(t.Context(), key, n)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// startable is how many start now, one after the other.
func startable(t testing.TB, l flow.Limiter, key string) (n int) {
	t.Helper()
	for allow(t, l, key, 1).Allowed {
		n++
	}
	return n
}

func TestTwoPerTwoSecondsIsNotOnePerSecond(t *testing.T) {
	t.Parallel()
	for _, strategy := range []flow.Strategy{flow.TokenBucket, flow.FixedWindow, flow.SlidingWindow, flow.SlidingLog} {
		synctest.Test(t, func(t *testing.T) {
			two := newLocal(t, flow.Rate{Limit: 2, Per: 2 * time.Second, Strategy: strategy}, nil)
			one := newLocal(t, flow.Rate{Limit: 1, Per: time.Second, Strategy: strategy}, nil)
			if n := startable(t, two, ""); n != 2 {
				t.Errorf("%v: of 2 per 2 s %d start at once", strategy, n)
			}
			if n := startable(t, one, ""); n != 1 {
				t.Errorf("%v: of 1 per 1 s %d start at once", strategy, n)
			}
			time.Sleep(time.Second)
			if n := startable(t, one, ""); n != 1 && strategy != flow.SlidingWindow { // for that all of the last one still counts
				t.Errorf("%v: of 1 per 1 s %d start in the next second", strategy, n)
			}
			if d := allow(t, two, "", 1); d.Allowed != (strategy == flow.TokenBucket) {
				t.Errorf("%v: of 2 per 2 s one more, a second later: %+v", strategy, d)
			}
		})
	}
}

func TestRaisedRateIsFeltAtOnceAndMakesNoBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, flow.Rate{Limit: 1, Per: time.Hour}, nil)
		startable(t, l, "key")
		if d := allow(t, l, "key", 1); d.RetryAfter != time.Hour {
			t.Errorf("%+v, want a wait of an hour", d)
		}
		if err := l.SetRate(flow.Rate{Limit: 10, Per: time.Second}); err != nil {
			t.Fatal(err)
		}
		if d := allow(t, l, "key", 1); d.Allowed || d.RetryAfter != 100*time.Millisecond {
			t.Errorf("%+v, want no burst and a wait of 100 ms", d)
		}
		time.Sleep(time.Minute)
		if err := l.SetRate(flow.Rate{Limit: 3, Per: time.Second}); err != nil {
			t.Fatal(err)
		}
		if n := startable(t, l, "key"); n != 3 || l.Rate().Limit != 3 {
			t.Errorf("of a bucket of 10 that was lowered to 3 there start %d", n)
		}
		if err := l.SetRate(flow.Rate{}); !errors.Is(err, flow.ErrInvalidRate) || l.Rate().Limit != 3 {
			t.Errorf("no rate: %v, and %+v", err, l.Rate())
		}
	})
}

func TestClosedKeyStartsNothingUntilItOpens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, flow.Rate{Limit: 5, Per: time.Second}, nil)
		for _, d := range []time.Duration{time.Minute, time.Second, -time.Hour} {
			if err := l.CloseFor(t.Context(), "key", d); err != nil {
				t.Fatal(err)
			}
		}
		if d := allow(t, l, "key", 1); d.Allowed || d.RetryAfter != time.Minute || d.Remaining != 0 {
			t.Errorf("%+v, want the longest closure", d)
		}
		if !allow(t, l, "other", 1).Allowed {
			t.Error("another key is closed too")
		}
		begin := time.Now()
		if err := flow.Wait(t.Context(), l, "key", 1); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestManyKeysTakeBoundedMemoryAndStayLimited(t *testing.T) {
	t.Parallel()
	const keys, bound = 100_000, 10_000
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLocal(t, flow.Rate{Limit: 5, Per: time.Second}, &flow.LocalOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		started := 0
		for i := range keys {
			if allow(t, l, strconv.Itoa(i), 1).Allowed {
				started++
			}
		}
		if want := bound + 5; started != want {
			t.Errorf("%d starts, want %d: one of each key, and five of all beyond the bound", started, want)
		}
		if n := strings.Count(log.String(), "bound on keys"); n != 1 {
			t.Errorf("the bound is logged %d times, want once", n)
		}
		time.Sleep(time.Second) // all are idle now
		for i := range bound {
			if n := startable(t, l, "new "+strconv.Itoa(i)); n != 5 {
				t.Fatalf("new key %d: %d start, want 5, for idle keys are forgotten", i, n)
			}
		}
	})
}

func TestInvalidSettingsAreNamed(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]flow.Rate{
		"Limit is 0":          {Per: time.Second},
		"Limit is 1000000001": {Limit: 1_000_000_001, Per: time.Second},
		"Limit is 1000001":    {Limit: 1_000_001, Per: time.Second, Strategy: flow.SlidingLog},
		"Per is 0s":           {Limit: 1},
		"Per is 8785h":        {Limit: 1, Per: 8785 * time.Hour},
		"Burst is -1":         {Limit: 1, Per: time.Second, Burst: -1},
		"Burst is 2":          {Limit: 1, Per: time.Second, Burst: 2, Strategy: flow.FixedWindow},
		"Strategy is 4":       {Limit: 1, Per: time.Second, Strategy: 4},
	} {
		if _, err := flow.NewLocal(r, nil); !errors.Is(err, flow.ErrInvalidRate) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	valid := flow.Rate{Limit: 2, Per: time.Second}
	if _, err := flow.NewLocal(valid, &flow.LocalOptions{MaxKeys: -1}); err == nil || !strings.Contains(err.Error(), "MaxKeys is -1") {
		t.Errorf("%v, want MaxKeys named", err)
	}
	for _, n := range []int{-1, 0, 3} {
		if _, err := newLocal(t, valid, nil).Allow(t.Context(), "", n); err == nil {
			t.Errorf("%d starts at once of a burst of 2: no error", n)
		}
	}
}

func TestStrategiesHaveNames(t *testing.T) {
	t.Parallel()
	for _, s := range []flow.Strategy{flow.TokenBucket, flow.FixedWindow, flow.SlidingWindow, flow.SlidingLog} {
		if got, err := flow.ParseStrategy(s.String()); got != s || err != nil {
			t.Errorf("%v became %v (%v)", s, got, err)
		}
	}
	if s, err := flow.ParseStrategy(""); s != flow.TokenBucket || err != nil {
		t.Errorf("no name: %v, %v", s, err)
	}
	if _, err := flow.ParseStrategy("leaky"); err == nil || !strings.Contains(err.Error(), `"leaky"`) {
		t.Errorf("an unknown name: %v", err)
	}
}

// The baseline is what any limiter with keys does: a lock, the time, and a map.
func BenchmarkAllow(b *testing.B) {
	b.Run("baseline", func(b *testing.B) {
		began, keys, counts := time.Now(), benchmarkKeys(), make(map[string]*time.Duration)
		for _, key := range keys {
			counts[key] = new(time.Duration)
		}
		var mu sync.Mutex
		i := 0
		for b.Loop() {
			mu.Lock()
			*counts[keys[i%len(keys)]] += time.Since(began)
			mu.Unlock()
			i++
		}
	})
	for _, strategy := range []flow.Strategy{flow.TokenBucket, flow.FixedWindow, flow.SlidingWindow, flow.SlidingLog} {
		b.Run(strategy.String(), func(b *testing.B) {
			l, keys, ctx := newLocal(b, flow.Rate{Limit: 100_000, Per: time.Second, Strategy: strategy}, nil), benchmarkKeys(), b.Context()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Allow(ctx, keys[i%len(keys)], 1); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func benchmarkKeys() []string {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = "key " + strconv.Itoa(i)
	}
	return keys
}
