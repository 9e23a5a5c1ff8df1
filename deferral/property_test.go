package deferral_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
)

// Whatever comes, whatever is published twice, whichever process crashes, and however the limits
// change meanwhile: each event runs at once or is in one summary, never both, and nothing is lost.
// Only what a crashed process had begun may be repeated.
func TestEachEventIsDealtWithOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { dealWithRandomEvents(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func dealWithRandomEvents(t *testing.T, r *rand.Rand) {
	w := newWorld(t)
	config := func() deferral.Config {
		return deferral.Config{
			Rate:     flow.Rate{Limit: 1 + r.IntN(4), Per: time.Duration(1+r.IntN(40)) * time.Second, Strategy: flow.Strategy(r.IntN(4))},
			Interval: time.Duration(1+r.IntN(20)) * time.Second,
		}
	}
	start := func(p *process) *worker {
		return w.work(config(), w.workIn(p, workerOptions{options: &deferral.Options{MaxItems: 1 + r.IntN(8)}, consumer: consumer.Options{Concurrency: 4}}))
	}
	p := &process{}
	running := start(p)
	repeats, numbers := 0, make(map[string]int)
	var all []bus.Event
	for range 60 {
		switch action := r.IntN(20); {
		case action < 12:
			key := fmt.Sprint("k", r.IntN(5))
			n := 1 + r.IntN(6)
			es := orders(key, numbers[key], n)
			numbers[key] += n
			all = append(all, es...)
			w.publish(es...)
		case action < 15 && len(all) > 0:
			e := all[r.IntN(len(all))]
			w.publish(e.WithControl(bus.Control{Copy: fmt.Sprint(r.Uint64())}))
		case action < 17:
			must(t, running.Update(config()))
		case action < 18: // the process crashes, and another one is started
			p.dead.Store(true)
			repeats += 4
			p = &process{}
			running = start(p)
		default:
			time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
		}
	}
	time.Sleep(10 * time.Minute)
	w.wantOnce(t, all, repeats)
	wantNothingLeft(t, running)
	must(t, running.stop())
}

// A key whose events come in any order of crash-free work has its summaries in order.
func TestSummariesOfAKeyAreInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(r, "events")
		items := rapid.IntRange(1, 9).Draw(r, "items")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 4000), n, n).Draw(r, "pauses")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			c := perMinute(1)
			c.Interval = 5 * time.Second
			p := w.work(c, workerOptions{options: &deferral.Options{MaxItems: items}})
			all := orders("a", 0, n)
			for i, e := range all {
				w.publish(e)
				time.Sleep(time.Duration(pauses[i]) * time.Millisecond)
			}
			time.Sleep(2 * time.Minute)
			w.wantOnce(t, all, 0)
			w.wantOrder(t)
			must(t, p.stop())
		})
	})
}

// deferredEvents is 100,000 for a measurement: a machine that is shared takes fewer.
var deferredEvents = flag.Int("deferral.events", 5000, "how many events of TestManyEventsOutliveACrash")

// Many events of many keys, with a crash in the middle of a summary: each is in one summary, those
// of each key in order, and there are about as many summaries as keys. Those whose process died
// before their marks are repeated.
func TestManyEventsOutliveACrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, keys := *deferredEvents, *deferredEvents/10
	c := deferral.Config{Rate: flow.Rate{Limit: 1, Per: time.Hour, Strategy: flow.FixedWindow}, Interval: time.Second}
	p := &process{}
	fast := &consumer.Options{Concurrency: 64, Lease: 2 * time.Second, AckWait: 2 * time.Second, Drain: 10 * time.Second}
	var mu sync.Mutex
	calls := 0
	o := w.workIn(p, workerOptions{sum: func(ctx context.Context, key string, es []bus.Event) error {
		mu.Lock()
		calls++
		crash := calls > keys/2
		mu.Unlock()
		if crash {
			p.dead.Store(true)
			<-ctx.Done()
			return errCrashed
		}
		return w.sum(ctx, key, es)
	}})
	first, err := deferral.Open(t.Context(), o.bus, o.store, "billing", c, o.sum, &deferral.Options{Logger: discard(), Subscription: fast})
	must(t, err)
	began := time.Now()
	all := w.trackMany(first, n, keys)
	tracked := time.Since(began)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = first.Run(ctx) }()
	for !p.dead.Load() {
		time.Sleep(10 * time.Millisecond)
	}
	next, err := deferral.Open(t.Context(), w.bus, w.store, "billing", c, w.sum, &deferral.Options{Logger: discard(), Subscription: fast})
	must(t, err)
	w.start(next)
	for left := 1; left > 0; _, left = next.Waiting() {
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("%d events of %d keys: tracked in %v, all summed up after %v, in %d summaries", n, keys, tracked, time.Since(began), len(w.sums()))
	cancel()
	<-ended
	w.wantOnce(t, all, fast.Concurrency*n/keys) // each summary that was made and not marked
	w.wantOrder(t)
	if got := len(w.sums()); got > 2*keys {
		t.Errorf("%d summaries of %d keys, want about one for each", got, keys)
	}
}

// trackMany tracks events of many keys, and returns those that were deferred.
func (w *world) trackMany(t *deferral.Tracker, n, keys int) (deferred []bus.Event) {
	var mu sync.Mutex
	var all sync.WaitGroup
	const workers = 16
	for i := range workers {
		all.Go(func() {
			for k := i; k < keys; k += workers {
				for j, e := range orders(fmt.Sprint("k", k), 0, n/keys) {
					d, err := t.Track(context.Background(), e)
					if err != nil || d != deferral.Deferred && j > 0 {
						w.t.Errorf("event %s: %v (%v), want deferred", e.ID, d, err)
						return
					}
					if d == deferral.Deferred {
						mu.Lock()
						deferred = append(deferred, e)
						mu.Unlock()
					}
				}
			}
		})
	}
	all.Wait()
	return deferred
}
