package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker/config"
)

// postingWorker runs a worker in a bubble whose subscriptions are those of a file, and whose
// handlers are of the test.
func postingWorker(t *testing.T, g *groupRig, file string, handle func(topic string) consumer.Handler) (stop func()) {
	t.Helper()
	c, problems := config.Parse("worker.yaml", []byte(file), func(string) (string, bool) { return "", false })
	if mistakes, _ := problems.SplitWarnings(); len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	return g.start(t, func(w *Worker) {
		for i := range c.Subscriptions {
			s := &c.Subscriptions[i]
			o, err := w.ConfiguredOptions(t.Context(), s)
			must(t, err)
			w.Handle(s.Topic, handle(s.Topic), o)
		}
	})
}

// TestHostHasOneLimitOverAllSubscriptions: as many run at once as it says, and no fewer.
func TestHostHasOneLimitOverAllSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var now, most, done, elsewhere atomic.Int64
		stop := postingWorker(t, g, `
group: g
subscriptions:
  - {topic: t, handler: {http: {url: 'https://shop.example/a', per_host: {concurrency: 5}}}}
  - {topic: u, handler: {http: 'https://SHOP.example:443/b'}}
  - {topic: v, handler: {http: 'https://other.example'}}
`, func(topic string) consumer.Handler {
			return func(context.Context, bus.Event) error {
				if topic == "v" {
					elsewhere.Add(1)
					time.Sleep(time.Minute) // holds nobody back
					return nil
				}
				n := now.Add(1)
				for m := most.Load(); n > m; m = most.Load() {
					most.CompareAndSwap(m, n)
				}
				time.Sleep(time.Second)
				now.Add(-1)
				done.Add(1)
				return nil
			}
		})
		for _, topic := range []string{"t", "u", "v"} {
			g.publish(t, topic, topic, 50)
		}
		time.Sleep(10 * time.Second)
		members, err := group.Members(t.Context(), g.store, "g")
		must(t, err)
		for _, s := range members[0].Subscriptions[:2] {
			if s.State != stateLimited || !strings.Contains(s.Why, "5 at once: to shop.example:443") {
				t.Errorf("%+v", s)
			}
		}
		time.Sleep(11 * time.Second)
		if most.Load() != 5 || done.Load() != 100 || elsewhere.Load() != 16 {
			t.Errorf("%d ran at once; %d of 100 are done after 21 s; %d went elsewhere", most.Load(), done.Load(), elsewhere.Load())
		}
		time.Sleep(10 * time.Minute)
		stop()
	})
}

// TestHostRateHoldsOverAllSubscriptions: none of them is left out.
func TestHostRateHoldsOverAllSubscriptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		began := time.Now()
		starts := map[string]*atomic.Int64{"t": {}, "u": {}}
		var early atomic.Int64
		stop := postingWorker(t, g, `
group: g
subscriptions:
  - {topic: t, handler: {http: {url: 'https://shop.example/a', per_host: {rate: 5/s}}}}
  - {topic: u, handler: {http: 'https://shop.example/b'}}
`, func(topic string) consumer.Handler {
			return func(context.Context, bus.Event) error {
				starts[topic].Add(1)
				if n := starts["t"].Load() + starts["u"].Load(); float64(n) > 5+5*time.Since(began).Seconds()+0.01 {
					early.Add(1)
				}
				return nil
			}
		})
		g.publish(t, "t", "t", 200)
		g.publish(t, "u", "u", 200)
		time.Sleep(20 * time.Second)
		all := starts["t"].Load() + starts["u"].Load()
		if all < 95 || early.Load() > 0 || starts["t"].Load() < 20 || starts["u"].Load() < 20 {
			t.Errorf("%d of t and %d of u started in 20 s at 5/s, %d too early", starts["t"].Load(), starts["u"].Load(), early.Load())
		}
		time.Sleep(10 * time.Minute)
		if all := starts["t"].Load() + starts["u"].Load(); all != 400 {
			t.Errorf("%d of 400 started in the end", all)
		}
		stop()
	})
}

// TestRetryAfterClosesTheHost: for all subscriptions that post there.
func TestRetryAfterClosesTheHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var throttled, during atomic.Int64
		var until atomic.Pointer[time.Time]
		stop := postingWorker(t, g, `
group: g
subscriptions:
  - {topic: t, handler: {http: {url: 'https://shop.example/a', per_host: {rate: 100/s}}}}
  - {topic: u, handler: {http: 'https://shop.example/b'}}
`, func(topic string) consumer.Handler {
			return func(context.Context, bus.Event) error {
				if topic == "t" && throttled.Add(1) == 1 {
					end := time.Now().Add(time.Minute)
					until.Store(&end)
					return consumer.Throttled(time.Minute, errors.New("429"))
				}
				if end := until.Load(); end != nil && time.Now().Before(*end) {
					during.Add(1)
				}
				return nil
			}
		})
		g.publish(t, "t", "t", 1)
		time.Sleep(time.Second)
		g.publish(t, "u", "u", 20)
		time.Sleep(10 * time.Minute)
		if throttled.Load() != 2 || during.Load() > 0 {
			t.Errorf("%d runs of t, %d starts while the host was closed", throttled.Load(), during.Load())
		}
		stop()
	})
}

// TestSlowSubscriptionLeavesTheHostToOthers: what waits for a rate of its own holds at most one of
// the host's places.
func TestSlowSubscriptionLeavesTheHostToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGroupRig(t, 0)
		var fast, slow atomic.Int64
		stop := postingWorker(t, g, `
group: g
subscriptions:
  - {topic: t, rate: 12/m, handler: {http: {url: 'https://shop.example/a', per_host: {concurrency: 3}}}}
  - {topic: u, handler: {http: 'https://shop.example/b'}}
`, func(topic string) consumer.Handler {
			return func(context.Context, bus.Event) error {
				if topic == "t" {
					slow.Add(1)
					return nil
				}
				time.Sleep(100 * time.Millisecond)
				fast.Add(1)
				return nil
			}
		})
		g.publish(t, "t", "t", 50)
		time.Sleep(10 * time.Second)
		g.publish(t, "u", "u", 200)
		time.Sleep(20 * time.Second) // two places at 10/s each
		if fast.Load() < 190 {
			t.Errorf("%d of 200 are done in 20 s beside a subscription that starts one in 5 s", fast.Load())
		}
		time.Sleep(2 * time.Hour)
		if slow.Load() != 50 {
			t.Errorf("%d of the slow one's 50 are done", slow.Load())
		}
		stop()
	})
}

// TestHostLimitThatCannotBeKeptIsRefused: with the host's name.
func TestHostLimitThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	w := newRig(t, 0).worker(t, Options{})
	for want, p := range map[string]*config.PerHost{
		"the limits of host h:80:": {Concurrency: 1_000_000},
		"1000000000000":            {Rate: config.Starts{Count: 1_000_000_000_000, Per: time.Second}},
	} {
		if err := w.addHostLimit(&config.HTTPHandler{URL: "http://h", PerHost: p}, &consumer.Options{}); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
