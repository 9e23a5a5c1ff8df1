package flow_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/flow/flowtest"
)

func newMemory() *flowtest.Memory { return &flowtest.Memory{Latency: time.Millisecond} }

func newShared(t testing.TB, store flow.Store, r flow.Rate, o flow.SharedOptions) *flow.Shared {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := flow.NewShared(store, "limit", r, &o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMemoryConformance(t *testing.T) {
	t.Parallel()
	flowtest.Run(t, flowtest.Harness{
		Virtual: true,
		New:     func(*testing.T) flowtest.Open { return newMemory().Open },
	})
}

// Slots that wait for one key ask the store once for each start, however many they are.
func TestRefusedKeyIsNotAskedForBeforeItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory()
		l := newShared(t, memory.Open(0), flow.Rate{Limit: 10, Per: time.Second, Burst: 1}, flow.SharedOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+50*time.Millisecond)
		defer cancel()
		var all sync.WaitGroup
		var mu sync.Mutex
		started := 0
		for range 200 {
			all.Go(func() {
				if flow.Wait(ctx, l, "key", 1) == nil {
					mu.Lock()
					started++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if n := memory.Swaps(); started < 45 || started > 51 || n > started+2 {
			t.Errorf("%d starts took %d calls of the store", started, n)
		}
	})
}

// One call for each 50 ms of the share, however many starts there are in them.
func TestReservationsCostLessThanACallPerStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := newMemory()
		l := newShared(t, memory.Open(0), flow.Rate{Limit: 10_000, Per: time.Second}, flow.SharedOptions{})
		for range 2000 {
			if !allow(t, l, "key", 1).Allowed {
				t.Fatal("refused")
			}
		}
		if n := memory.Swaps(); n != 4 {
			t.Errorf("2,000 starts took %d calls of the store, want 4 of 500 each", n)
		}
		if !allow(t, l, "key", 1).Allowed { // and 499 are left
			t.Fatal("refused")
		}
		time.Sleep(51 * time.Millisecond)
		if !allow(t, l, "key", 1).Allowed || memory.Swaps() != 6 {
			t.Errorf("%d calls, want what is left of a reservation dropped after 50 ms", memory.Swaps())
		}
	})
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := flowtest.NewFaults(newMemory().Open(0))
		l := newShared(t, faults, flow.Rate{Limit: 1, Per: time.Second}, flow.SharedOptions{})
		faults.Hang()
		var first sync.WaitGroup
		first.Go(func() { _, _ = l.Allow(t.Context(), "key", 1) })
		synctest.Wait()
		why := errors.New("given up")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(why) })
		begin := time.Now()
		for range 2 { // one that waits for another's call, one that comes later
			if _, err := l.Allow(ctx, "key", 1); !errors.Is(err, why) || time.Since(begin) != time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		}
		first.Wait()
	})
}

// A caller whose ctx ends while its call is in flight leaves no outage, for others wait for it too.
func TestAbandonedCallIsNoOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := &flowtest.Memory{Latency: 10 * time.Millisecond}
		l := newShared(t, memory.Open(0), flow.Rate{Limit: 1, Per: time.Second}, flow.SharedOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := l.Allow(ctx, "key", 1); err != nil {
			t.Error(err)
		}
		if s := l.Stats(); s.Outages != 0 || s.Reservations != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// In an outage a store is tried at growing intervals, by nobody who waits for it.
func TestStoreThatIsGoneIsTriedAtGrowingIntervals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := flowtest.NewFaults(newMemory().Open(0))
		faults.Hang()
		l := newShared(t, faults, flow.Rate{Limit: 1000, Per: time.Second}, flow.SharedOptions{})
		begin := time.Now()
		if d := allow(t, l, "key", 1); !d.Allowed || time.Since(begin) > 100*time.Millisecond {
			t.Errorf("%+v after %v, want a start of the local share within 100 ms", d, time.Since(begin))
		}
		for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(time.Millisecond) {
			before := time.Now()
			allow(t, l, "key", 1)
			if d := time.Since(before); d != 0 {
				t.Fatalf("a call in an outage took %v", d)
			}
		}
		if n := l.Stats().Reservations; n < 10 || n > 16 {
			t.Errorf("tried %d times in 10 s, want about once a second after the first second", n)
		}
		synctest.Wait()
		faults.Fail(nil)
		time.Sleep(time.Second)
		allow(t, l, "key", 1)
		time.Sleep(100 * time.Millisecond)
		if l.Stats().Down {
			t.Error("the store is back, and was not found")
		}
	})
}

// A store is found again also by a key of which it is known that nothing is left.
func TestSpentKeyFindsTheStoreAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faults := flowtest.NewFaults(newMemory().Open(0))
		l := newShared(t, faults, flow.Rate{Limit: 1, Per: time.Hour}, flow.SharedOptions{})
		startable(t, l, "spent")
		faults.Fail(errors.New("broken on purpose"))
		allow(t, l, "another", 1)
		faults.Fail(nil)
		time.Sleep(time.Second)
		if d := allow(t, l, "spent", 1); d.Allowed || !l.Stats().Down {
			t.Errorf("%+v, %+v", d, l.Stats())
		}
		time.Sleep(time.Second)
		if s := l.Stats(); s.Down || s.Outages != 1 {
			t.Errorf("%+v, want the store found", s)
		}
	})
}

// Starts that were reserved early and begin late count from when they begin.
func TestSharedLogIsExactWhenReservedStartsBeginLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := &flowtest.Memory{}
		r := flow.Rate{Limit: 100, Per: time.Second, Strategy: flow.SlidingLog}
		a, b := newShared(t, memory.Open(0), r, flow.SharedOptions{}), newShared(t, memory.Open(0), r, flow.SharedOptions{})
		allow(t, a, "key", 1)
		time.Sleep(45 * time.Millisecond)
		late := 0
		for range 4 {
			if allow(t, a, "key", 1).Allowed {
				late++
			}
		}
		if late += startable(t, b, "key"); late != 99 {
			t.Fatalf("%d start, want all but the first of 100", late)
		}
		begin := time.Now()
		for time.Since(begin) < time.Second {
			late += startable(t, b, "key")
			time.Sleep(time.Millisecond)
		}
		if late > 100 {
			t.Errorf("%d start within a second, want at most 100", late)
		}
	})
}

func TestSharedKeysTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory := &flowtest.Memory{}
		const keys, bound = 2000, 100
		l := newShared(t, memory.Open(0), flow.Rate{Limit: 2, Per: time.Hour}, flow.SharedOptions{MaxKeys: bound})
		started := 0
		for i := range keys {
			if allow(t, l, "key "+strconv.Itoa(i), 1).Allowed {
				started++
			}
		}
		if started != bound+2 || memory.Rows() != bound+1 {
			t.Errorf("%d starts and %d rows, want %d: one of each key, and two of all beyond the bound", started, memory.Rows(), bound+2)
		}
		time.Sleep(3 * time.Hour)
		if n := memory.Rows(); n != 0 {
			t.Errorf("%d rows are left when all are idle", n)
		}
	})
}

func TestSharedNamesInvalidSettings(t *testing.T) {
	t.Parallel()
	store, r := (&flowtest.Memory{}).Open(0), flow.Rate{Limit: 1, Per: time.Second}
	for want, f := range map[string]func() (*flow.Shared, error){
		"store":         func() (*flow.Shared, error) { return flow.NewShared(nil, "a", r, nil) },
		`"a/b"`:         func() (*flow.Shared, error) { return flow.NewShared(store, "a/b", r, nil) },
		"Limit is 0":    func() (*flow.Shared, error) { return flow.NewShared(store, "a", flow.Rate{}, nil) },
		"at most 10000": func() (*flow.Shared, error) { return flow.NewShared(store, "a", tooLongLog, nil) },
		"OnOutage is 2": func() (*flow.Shared, error) { return flow.NewShared(store, "a", r, &flow.SharedOptions{OnOutage: 2}) },
		"Timeout is 1s": func() (*flow.Shared, error) {
			return flow.NewShared(store, "a", r, &flow.SharedOptions{Timeout: time.Second})
		},
		"MaxKeys is -100": func() (*flow.Shared, error) { return flow.NewShared(store, "a", r, &flow.SharedOptions{MaxKeys: -100}) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that names %s", err, want)
		}
	}
	if _, err := newShared(t, store, r, flow.SharedOptions{}).Allow(t.Context(), "", 2); err == nil {
		t.Error("two starts at once of a limit of 1: no error")
	}
}

var tooLongLog = flow.Rate{Limit: 10_001, Per: time.Second, Strategy: flow.SlidingLog}

func BenchmarkSharedAllow(b *testing.B) {
	l := newShared(b, (&flowtest.Memory{}).Open(0), flow.Rate{Limit: 1_000_000_000, Per: time.Second}, flow.SharedOptions{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Allow(ctx, "key", 1); err != nil {
			b.Fatal(err)
		}
	}
}
