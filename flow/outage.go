package flow

import (
	"context"
	"time"
)

// outage is what a Shared knows of its store while it cannot be used.
type outage struct {
	down bool
	// since and nextTry are local times.
	since, nextTry int64
	failures       int
	trying         bool
}

// Bounds of the time between two tries of a store that failed.
const (
	firstTryAfter = 50 * time.Millisecond
	maxTryAfter   = time.Second
)

func (s *Shared) recordFailure(err error, now int64) {
	o := &s.outage
	if !o.down {
		*o = outage{down: true, since: now, trying: o.trying}
		s.stats.Outages++
		s.log.Warn("store of a shared limit cannot be used; "+s.options.OnOutage.consequence()+" until it can", "error", err)
	}
	after := min(firstTryAfter<<min(o.failures, 10), maxTryAfter)
	o.failures++
	o.nextTry = now + int64(after)
}

func (o OnOutage) consequence() string {
	if o == FailClosed {
		return "nothing starts"
	}
	return "this process starts its share of the limit"
}

func (s *Shared) recordSuccess(now int64) {
	if s.outage.down {
		s.log.Info("store of a shared limit can be used again", "after", time.Duration(now-s.outage.since))
	}
	s.outage = outage{}
}

// tryStore tries a store that failed, when its time has come, in a goroutine that ends with the
// time-out. What it reserves is for the next caller.
func (s *Shared) tryStore(ctx context.Context, k *sharedKey, now int64) {
	if s.outage.trying || now < s.outage.nextTry || k.answered != nil {
		return
	}
	s.outage.trying = true
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reserve(ctx, k, 1)
		s.outage.trying = false
	}()
}

// answerInOutage decides by the share of this process. What it lets start is never given back to
// the store.
func (s *Shared) answerInOutage(k *sharedKey, share *Rate, now int64, n int) Decision {
	again := max(s.options.Timeout, time.Duration(s.outage.nextTry-now))
	d := Decision{Limit: s.rate.capacity(), RetryAfter: again}
	if s.options.OnOutage == FailClosed || n > share.capacity() {
		return d
	}
	d = k.share.decide(share, now, n)
	d.Limit = s.rate.capacity()
	if d.Allowed {
		s.stats.LocalStarts += n
	} else {
		d.RetryAfter = min(d.RetryAfter, again)
	}
	return d
}
