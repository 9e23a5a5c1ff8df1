package acceptance

import (
	"net/url"
	"testing"
	"time"

	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/worker"
)

// sharer is a worker's view of a limit that it shares, and what it has let through.
type sharer struct {
	*flow.Shared

	proxy *proxy.Proxy
	slow  time.Duration // the longest that a call took since the last look
}

// take asks until a time, as fast as it is answered, and returns how many starts were let through.
func (s *sharer) take(t *testing.T, until time.Time) (n int) {
	t.Helper()
	for time.Now().Before(until) {
		began := time.Now()
		d, err := s.Allow(t.Context(), "k", 1)
		s.slow = max(s.slow, time.Since(began))
		if err != nil {
			t.Error(err)
			return n
		}
		if d.Allowed {
			n++
			continue
		}
		time.Sleep(min(d.RetryAfter, time.Until(until))) // as a consumer does
	}
	return n
}

// takeTogether has both take for a while, and returns their starts and how long it took.
func takeTogether(t *testing.T, a, b *sharer, d time.Duration) (n int, took time.Duration) {
	t.Helper()
	a.slow, b.slow = 0, 0
	began := time.Now()
	other := make(chan int, 1)
	go func() { other <- b.take(t, began.Add(d)) }()
	n = a.take(t, began.Add(d))
	n += <-other
	return n, time.Since(began)
}

// TestSharedLimitOfTwoWorkers: together they stay within the limit and use it; without the store
// each goes on by its share, and they share again when it is back.
func TestSharedLimitOfTwoWorkers(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		r.expireMembers(shortTTL)
		rate := flow.Rate{Limit: 200, Per: time.Second, Burst: 20}
		share := func() *sharer {
			s := &sharer{}
			o := &worker.ConnectOptions{NATS: r.url, Provision: true, Lease: shortTTL, Logger: r.logger()}
			var err error
			if r.mongo != "" {
				at, parseErr := url.Parse(r.mongo)
				must(r.t, parseErr)
				at.Path = "/" + r.db
				s.proxy, o.Store = proxied(r.t, at.String())
			} else {
				s.proxy, o.NATS = proxied(r.t, r.url)
			}
			c, err := worker.Connect(r.t.Context(), o)
			must(r.t, err)
			r.t.Cleanup(func() { _ = c.Close() })
			w, err := worker.New("billing", c, &worker.Options{Logger: r.logger()})
			must(r.t, err)
			s.Shared, err = w.SharedLimit(r.t.Context(), "limit", rate, &flow.SharedOptions{Members: func() int { return 2 }})
			must(r.t, err)
			return s
		}
		one, other := share(), share()
		outages := func() int { return one.Stats().Outages + other.Stats().Outages }
		within := func(when string, d time.Duration, hasStore bool) {
			r.t.Helper()
			before := outages()
			n, took := takeTogether(r.t, one, other, d)
			full := float64(rate.Limit) * took.Seconds()
			r.t.Logf("%s: %d starts in %v, of %.0f; the longest call took %v", when, n, took, full, max(one.slow, other.slow))
			if hasStore && outages() > before {
				full *= 1.5 // a store that is slow for one is no outage for the other
			}
			if float64(n) > 1.02*full+float64(rate.Burst)+20 { // what both have reserved
				r.t.Errorf("%s: %d starts in %v; the limit allows %.0f", when, n, took, full+float64(rate.Burst))
			}
			if n == 0 {
				r.t.Errorf("%s: nothing started", when)
			}
		}
		shareAgain := func() {
			r.t.Helper()
			r.eventually("they share", func() bool {
				_, _ = takeTogether(r.t, one, other, 50*time.Millisecond)
				return !one.Stats().Down && !other.Stats().Down
			})
		}
		shareAgain()
		within("shared", 3*time.Second, true)
		gone, opened := hole(proxy.ToClient), false
		for try := 0; try < 5 && !opened; try++ { // a machine may be busy with something else
			shareAgain()
			gone.begin(one.proxy)
			gone.begin(other.proxy)
			within("without the store", time.Second, false)
			opened = max(one.slow, other.slow) < flow.MaxTimeout
			if !one.Stats().Down || !other.Stats().Down || one.Stats().LocalStarts == 0 || other.Stats().LocalStarts == 0 {
				r.t.Errorf("they do not go on by their shares: %+v, %+v", one.Stats(), other.Stats())
			}
			gone.end(one.proxy)
			gone.end(other.proxy)
		}
		if !opened {
			r.t.Errorf("no call failed open within %v", flow.MaxTimeout)
		}
		shareAgain()
		within("shared again", 2*time.Second, true)
	})
}
