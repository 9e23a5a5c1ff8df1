package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/flow/breaker"
)

// receiver serves so many at once; the others queue. Its service times come from a seeded source.
type receiver struct {
	mu        sync.Mutex
	random    *rand.Rand
	servers   int
	busy      int
	queue     []chan struct{}
	mean      time.Duration
	variation string // fixed, uniform or exponential
	served    atomic.Int64
}

var errRefused = errors.New("refused")

func (r *receiver) serve() {
	r.mu.Lock()
	if r.busy >= r.servers {
		turn := make(chan struct{})
		r.queue = append(r.queue, turn)
		r.mu.Unlock()
		<-turn
		r.mu.Lock()
	} else {
		r.busy++
	}
	took := r.mean
	switch r.variation {
	case "uniform":
		took = time.Duration((0.5 + r.random.Float64()) * float64(r.mean))
	case "exponential":
		took = time.Duration(r.random.ExpFloat64() * float64(r.mean))
	}
	r.mu.Unlock()
	time.Sleep(took)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served.Add(1)
	r.busy--
	r.startQueued()
}

func (r *receiver) startQueued() {
	for len(r.queue) > 0 && r.busy < r.servers {
		close(r.queue[0])
		r.queue = r.queue[1:]
		r.busy++
	}
}

func (r *receiver) change(servers int, mean time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers, r.mean = servers, mean
	r.startQueued()
}

// load is callers that start runs whenever the limit allows it.
type load struct {
	limit *breaker.AdaptiveLimit
	runs  atomic.Int64
	stop  context.CancelFunc
	group sync.WaitGroup
}

func startLoad(t *testing.T, limit *breaker.AdaptiveLimit, callers int, run func() error) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{limit: limit, stop: cancel}
	for range callers {
		l.group.Go(func() {
			for ctx.Err() == nil {
				leave, err := limit.Enter(ctx)
				if err != nil {
					return
				}
				leave(run())
				l.runs.Add(1)
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.group.Wait()
}

// limitsFor watches the limit while so many runs end.
func (l *load) limitsFor(runs int64) (low, high int) {
	low = 1 << 30
	for end := l.runs.Load() + runs; l.runs.Load() < end; time.Sleep(time.Millisecond) {
		c, _ := l.limit.Capacity()
		low, high = min(low, c.Limit), max(high, c.Limit)
	}
	return low, high
}

func newAdaptive(t *testing.T, maximum int, o *breaker.AdaptiveOptions) *breaker.AdaptiveLimit {
	t.Helper()
	limit, err := breaker.NewAdaptiveLimit(maximum, o)
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

func TestAdaptiveLimitSettlesAtWhatTheReceiverCanDo(t *testing.T) {
	for _, variation := range []string{"fixed", "uniform", "exponential"} {
		for _, servers := range []int{4, 8, 40} {
			for seed := range uint64(2) {
				t.Run(fmt.Sprintf("%s/%d/%d", variation, servers, seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := &receiver{random: rand.New(rand.NewPCG(seed, 1)), servers: servers, mean: 20 * time.Millisecond, variation: variation}
						l := startLoad(t, newAdaptive(t, 200, nil), 256, func() error { r.serve(); return nil })
						l.limitsFor(10_000)
						begin, before := time.Now(), r.served.Load()
						low, high := l.limitsFor(20_000)
						rate := float64(r.served.Load()-before) / time.Since(begin).Seconds() / (float64(servers) / r.mean.Seconds())
						if low < servers/2 || high > 2*servers {
							t.Errorf("the limit went from %d to %d for a receiver of %d", low, high, servers)
						}
						if rate < 0.9 {
							t.Errorf("the receiver did %.2f of what it can", rate)
						}
						l.end()
					})
				})
			}
		}
	}
}

func TestAdaptiveLimitFollowsTheReceiver(t *testing.T) {
	for _, tt := range []struct {
		name    string
		servers int
		mean    time.Duration
	}{
		{"fewer at once", 8, 20 * time.Millisecond},
		{"more at once", 120, 20 * time.Millisecond},
		{"slower", 40, 60 * time.Millisecond},
		{"quicker", 40, 5 * time.Millisecond},
		{"fewer and slower", 6, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(2) {
				synctest.Test(t, func(t *testing.T) {
					r := &receiver{random: rand.New(rand.NewPCG(seed, 2)), servers: 40, mean: 20 * time.Millisecond, variation: "uniform"}
					l := startLoad(t, newAdaptive(t, 400, nil), 512, func() error { r.serve(); return nil })
					l.limitsFor(10_000)
					r.change(tt.servers, tt.mean)
					l.limitsFor(5_000)
					low, high := l.limitsFor(10_000)
					if low < tt.servers/2 || high > 2*tt.servers {
						t.Errorf("the limit went from %d to %d for a receiver of %d", low, high, tt.servers)
					}
					l.end()
				})
			}
		})
	}
}

func TestAdaptiveLimitClimbsToItsMaximumIfNothingQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLoad(t, newAdaptive(t, 64, nil), 100, func() error { time.Sleep(10 * time.Millisecond); return nil })
		l.limitsFor(5_000)
		if _, high := l.limitsFor(5_000); high != 64 {
			t.Errorf("the limit is %d at most, not 64", high)
		}
		l.end()
	})
}

func TestAdaptiveLimitIgnoresHowLongEarlierRunsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newAdaptive(t, 64, nil)
		l := startLoad(t, limit, 100, func() error { time.Sleep(10 * time.Millisecond); return nil })
		l.limitsFor(5_000)
		var hung []func(error)
		for range 20 {
			leave, err := limit.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			hung = append(hung, leave)
		}
		l.limitsFor(10_000)
		for _, leave := range hung {
			leave(nil)
			if low, _ := l.limitsFor(300); low < 42 {
				t.Fatalf("the limit fell to %d", low)
			}
		}
		l.end()
	})
}

func TestAdaptiveLimitFallsWhenRunsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside atomic.Int64
		l := startLoad(t, newAdaptive(t, 64, nil), 100, func() error { // refuses the ninth at once
			defer inside.Add(-1)
			if inside.Add(1) > 8 {
				time.Sleep(time.Millisecond)
				return errRefused
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		l.limitsFor(5_000)
		low, high := l.limitsFor(20_000)
		if low < 4 || high > 16 {
			t.Errorf("the limit went from %d to %d for a receiver of 8 that refuses more", low, high)
		}
		l.end()
	})
}

func TestAdaptiveLimitFallsToItsMinimumIfEveryRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startLoad(t, newAdaptive(t, 64, &breaker.AdaptiveOptions{Min: 2}), 100, func() error {
			time.Sleep(10 * time.Millisecond)
			return errRefused
		})
		l.limitsFor(3_000)
		if low, high := l.limitsFor(3_000); low != 2 || high != 3 {
			t.Errorf("the limit went from %d to %d, not from 2 to 3", low, high)
		}
		l.end()
	})
}

func TestAdaptiveLimitStaysWhileFewRunsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newAdaptive(t, 64, nil)
		for range 5_000 {
			leave, err := limit.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			leave(nil)
			if c, _ := limit.Capacity(); c.Limit != 4 && c.Limit != 6 {
				t.Fatalf("the limit moved to %d", c.Limit)
			}
		}
	})
}

func TestAdaptiveLimitDropsCancelledRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newAdaptive(t, 64, nil)
		l := startLoad(t, limit, 100, func() error {
			time.Sleep(10 * time.Millisecond)
			return fmt.Errorf("given back: %w", context.Canceled)
		})
		if low, high := l.limitsFor(5_000); low != 4 || high != 4 {
			t.Errorf("the limit went from %d to %d", low, high)
		}
		l.end()
	})
}

func TestAdaptiveLimitStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maximum := rapid.IntRange(1, 50).Draw(t, "maximum")
		least := rapid.IntRange(1, maximum).Draw(t, "min")
		limit, err := breaker.NewAdaptiveLimit(maximum, &breaker.AdaptiveOptions{Min: least})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		failing := rapid.SampledFrom([]float64{0, 0.1, 1}).Draw(t, "failing")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var leaves []func(error)
		for range 5_000 {
			c, _ := limit.Capacity()
			if c.Limit < least || c.Limit > maximum {
				t.Fatalf("the limit is %d", c.Limit)
			}
			leave, err := limit.Enter(ended)
			if err == nil {
				leaves = append(leaves, leave)
				continue
			}
			i := random.IntN(len(leaves))
			leaves[i](map[bool]error{true: errRefused}[random.Float64() < failing])
			leaves[i](nil) // counts for nothing
			leaves[i] = leaves[len(leaves)-1]
			leaves = leaves[:len(leaves)-1]
		}
	})
}

func TestAdaptiveLimitRefusesBadBounds(t *testing.T) {
	for maximum, least := range map[int]int{0: 0, -1: 0, 100_001: 0, 4: 5, 5: -1} {
		if _, err := breaker.NewAdaptiveLimit(maximum, &breaker.AdaptiveOptions{Min: least}); err == nil {
			t.Errorf("from %d to %d is allowed", least, maximum)
		}
	}
}
