package flowtest

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/backoff"
)

const members = 4

func fourMembers() int { return members }

// limiter is that of one process.
func limiter(t *testing.T, store flow.Store, r flow.Rate, o *flow.SharedOptions) *flow.Shared {
	t.Helper()
	if o == nil {
		o = &flow.SharedOptions{Timeout: flow.MaxTimeout, Members: fourMembers}
	}
	l, err := flow.NewShared(store, "limit", r, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// started is a start: it began between two times.
type started struct{ after, before time.Duration }

// sharing lets four processes, whose clocks are wrong, start as much as they may.
func sharing(r flow.Rate) func(t *testing.T, h *Harness, open Open) {
	return func(t *testing.T, h *Harness, open Open) {
		window := 3 * time.Second
		if h.Virtual {
			window = 10 * time.Second
		}
		starts, local := startAll(t, open, r, window)
		limit := float64(r.Limit) * float64(window) / float64(r.Per)
		atOnce := r.Limit // windows are not the test's
		if r.Strategy == flow.TokenBucket {
			atOnce = r.Burst
		}
		chunk := max(1, int(float64(r.Limit)*0.05/float64(members)/r.Per.Seconds()))
		bound := limit + float64(atOnce+members*chunk+local)
		t.Logf("%d starts of %v in %v: %.3f; %d without the store", len(starts), limit, window, float64(len(starts))/limit, local)
		if n := float64(len(starts)); n > bound || n == 0 {
			t.Errorf("%v starts in %v, want at most %v", n, window, bound)
		} else if h.Virtual && r.Strategy != flow.SlidingLog && (n < 0.95*limit || n-float64(atOnce) > 1.02*limit) {
			t.Errorf("%v starts in %v, want %v", n, window, limit)
		}
		if r.Strategy == flow.SlidingLog && local == 0 {
			exactly(t, starts, r)
		}
	}
}

// startAll returns what was started in a time, in the order of when it had begun at the latest, and
// how much of it without the store, which a loaded machine may be too slow for.
func startAll(t *testing.T, open Open, r flow.Rate, window time.Duration) (starts []started, local int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), window)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	limiters := make([]*flow.Shared, members)
	for i := range limiters {
		limiters[i] = limiter(t, open(time.Duration(2*i-3)*100*time.Second), r, nil)
		for range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					after := time.Since(begin)
					d, err := limiters[i].Allow(ctx, "key", 1)
					before := time.Since(begin)
					if err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					if d.Allowed && before <= window {
						mu.Lock()
						starts = append(starts, started{after, before})
						mu.Unlock()
					}
					_ = backoff.Sleep(ctx, max(d.RetryAfter, time.Millisecond))
				}
			})
		}
	}
	all.Wait()
	for _, l := range limiters {
		local += l.Stats().LocalStarts
	}
	slices.SortFunc(starts, func(a, b started) int { return int(a.before - b.before) })
	return starts, local
}

// exactly wants no window of Per that has surely more than Limit starts.
func exactly(t *testing.T, starts []started, r flow.Rate) {
	t.Helper()
	for i := r.Limit; i < len(starts); i++ {
		first := slices.MinFunc(starts[i-r.Limit:i+1], func(a, b started) int { return int(a.after - b.after) })
		if d := starts[i].before - first.after; d < r.Per {
			t.Fatalf("%d starts within %v, want at most %d", r.Limit+1, d, r.Limit)
		}
	}
}

// allow wants an answer that is no error.
func allow(t *testing.T, l flow.Limiter, key string, n int) flow.Decision {
	t.Helper()
	d, err := l.Allow(t.Context(), key, n)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inService calls Allow until the store has answered, as it may be slow on a loaded machine.
func inService(t *testing.T, l *flow.Shared, key string) (d flow.Decision) {
	t.Helper()
	await(t, "an answer of the store", func() bool {
		d = allow(t, l, key, 1)
		return !l.Stats().Down
	})
	return d
}

func closingReachesAll(t *testing.T, _ *Harness, open Open) {
	r := flow.Rate{Limit: 100, Per: time.Second}
	a, b := limiter(t, open(5*time.Minute), r, nil), limiter(t, open(-5*time.Minute), r, nil)
	for tries := 1; a.CloseFor(t.Context(), "closed", time.Hour) != nil; tries++ {
		if tries == 100 {
			t.Fatal("the key cannot be closed")
		}
	}
	if err := a.CloseFor(t.Context(), "closed", time.Minute); err != nil {
		t.Error(err)
	}
	for what, l := range map[string]*flow.Shared{"its own": a, "another": b} {
		if d := inService(t, l, "closed"); d.Allowed || d.RetryAfter < 59*time.Minute || d.RetryAfter > 61*time.Minute {
			t.Errorf("%s process: %+v, want the key closed for an hour", what, d)
		}
		if d := inService(t, l, "open"); !d.Allowed {
			t.Errorf("%s process: %+v of another key", what, d)
		}
	}
}

func malformedIsRepaired(t *testing.T, _ *Harness, open Open) {
	store := NewFaults(open(0))
	for _, data := range [][]byte{nil, []byte("garbage"), {1, 0}, bytes.Repeat([]byte{0xff}, 100)} {
		var log syncBuffer
		o := &flow.SharedOptions{Timeout: flow.MaxTimeout, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		l := limiter(t, store, flow.Rate{Limit: 100, Per: time.Hour, Burst: 10}, o)
		inService(t, l, "key")
		if err := store.Overwrite(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		other := limiter(t, store, l.Rate(), o)
		if d := inService(t, other, "key"); d.Allowed || d.RetryAfter > time.Hour || d.RetryAfter <= 0 {
			t.Errorf("%q: %+v, want an empty bucket that refills", data, d)
		}
		if n := other.Stats().Repaired; n != 1 || log.count("repaired") != 1 {
			t.Errorf("%q: repaired %d times, logged %q", data, n, log.String())
		}
		if d := inService(t, limiter(t, store, l.Rate(), o), "key"); d.Allowed || log.count("repaired") != 1 {
			t.Errorf("%q: the next process: %+v, %q", data, d, log.String())
		}
	}
}

func ratesAreConverted(t *testing.T, _ *Harness, open Open) {
	store := open(0)
	o := &flow.SharedOptions{Timeout: flow.MaxTimeout}
	old := flow.Rate{Limit: 3, Per: time.Hour}
	for range 3 {
		inService(t, limiter(t, store, old, o), "key")
	}
	for _, r := range []flow.Rate{
		{Limit: 30, Per: time.Hour},
		{Limit: 2, Per: time.Hour},
		{Limit: 3, Per: time.Hour, Strategy: flow.SlidingLog},
		{Limit: 3, Per: time.Hour, Strategy: flow.SlidingWindow},
	} {
		if d := inService(t, limiter(t, store, r, o), "key"); d.Allowed {
			t.Errorf("%v: %+v, want what is used to stay used", r, d)
		}
	}
	if d := inService(t, limiter(t, store, flow.Rate{Limit: 100, Per: time.Millisecond}, o), "key"); !d.Allowed && d.RetryAfter > time.Millisecond {
		t.Errorf("a raised limit: %+v, want it to take effect at once", d)
	}
}

func keysAreApart(t *testing.T, _ *Harness, open Open) {
	store := open(0)
	o := &flow.SharedOptions{Timeout: flow.MaxTimeout} // what is granted later than that is dropped
	l := limiter(t, store, flow.Rate{Limit: 1, Per: time.Hour}, o)
	for _, key := range []string{"", "a", "A", "a.b", "a/b", "sha256/x", string(bytes.Repeat([]byte("long"), 1000)), "ü", "\x00\xff"} {
		if d := inService(t, l, key); !d.Allowed {
			t.Errorf("%q: %+v, want a limit of its own", key, d)
		}
		other := limiter(t, store, l.Rate(), o)
		if d := inService(t, other, key); d.Allowed && l.Stats().Outages+other.Stats().Outages == 0 {
			t.Errorf("%q: %+v, want it shared", key, d)
		}
	}
}
