package worker

import (
	"context"
	"time"

	"github.com/onceish/onceish/consumer"
)

// empty reports whether there is nothing left for the subscription, on the bus or here: what
// the bus has dropped while it waited for its retry is only known here. What cannot be asked
// is not empty.
func (s *subscribed) empty(ctx context.Context) bool {
	if n := s.sub.Stats(); n.InFlight+n.Retrying > 0 {
		return false
	}
	lag, err := s.sub.Lag(ctx)
	return err == nil && lag == consumer.Lag{}
}

// empty reports whether all subscriptions, and all outboxes, were empty at one time. A handler may
// publish to another's topic: what ended while they were asked one by one may have filled again
// what was empty before. What left an outbox before it was asked is on a topic by then.
func empty(ctx context.Context, subs []subscribed, drainers []*drainer) bool {
	before := endings(subs)
	for _, d := range drainers {
		if !d.empty(ctx) {
			return false
		}
	}
	for _, s := range subs {
		if !s.empty(ctx) {
			return false
		}
	}
	return endings(subs) == before
}

// endings is how many runs have ended, one way or another.
func endings(subs []subscribed) (n uint64) {
	for _, s := range subs {
		stats := s.sub.Stats()
		n += stats.Handled + stats.Failed + stats.Deferred + stats.Dead + stats.Lost
	}
	return n
}

// pollEmpty is how often the bus is asked.
const pollEmpty = 100 * time.Millisecond

// untilEmpty ends when there is nothing left to do, or nothing that can be done.
func untilEmpty(s *standstill) Actor {
	ctx, cancel := context.WithCancel(context.Background())
	return Actor{
		Name: "until empty",
		Run: func() error {
			again := time.NewTicker(pollEmpty)
			defer again.Stop()
			for {
				select {
				case <-again.C:
				case <-ctx.Done():
					return errAsked
				}
				if empty(ctx, s.subs, s.drainers) {
					return errAsked
				}
				if err := s.look(ctx); err != nil {
					return err
				}
			}
		},
		Stop: func(error) { cancel() },
	}
}
