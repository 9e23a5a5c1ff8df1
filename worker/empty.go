package worker

import (
	"context"
	"time"
)

// isEmpty reports whether there is nothing left for the subscription, on the bus or here: what
// the bus has dropped while it waited for its retry is only known here. What cannot be asked
// is not empty.
func (s *runningSubscription) isEmpty(ctx context.Context) bool {
	if n := s.sub.Stats(); n.InFlight+n.Retrying > 0 {
		return false
	}
	lag, cursors, err := s.groupLag(ctx)
	return err == nil && cursors >= s.partitionsOf() && lag.Pending+lag.Unsettled == 0
}

// allEmpty reports whether all subscriptions, and all outboxes, were empty at one time. A handler
// may publish to another's topic: what ended while they were asked one by one may have filled again
// what was empty before. What left an outbox before it was asked is on a topic by then.
func allEmpty(ctx context.Context, subs []runningSubscription, drainers []*drainerRun) bool {
	before := countEnded(subs)
	for _, d := range drainers {
		if !d.isEmpty(ctx) {
			return false
		}
	}
	for _, s := range subs {
		if !s.isEmpty(ctx) {
			return false
		}
	}
	return countEnded(subs) == before
}

// countEnded is how many runs have ended, one way or another.
func countEnded(subs []runningSubscription) (n uint64) {
	for _, s := range subs {
		stats := s.sub.Stats()
		n += stats.Handled + stats.Failed + stats.Deferred + stats.Dead + stats.Lost
	}
	return n
}

// emptyPollInterval is how often the bus is asked.
const emptyPollInterval = 100 * time.Millisecond

// untilEmptyActor ends when there is nothing left to do, or nothing that can be done.
func untilEmptyActor(s *standstillDetector) Actor {
	ctx, cancel := context.WithCancel(context.Background())
	return Actor{
		Name: "until empty",
		Run: func() error {
			again := time.NewTicker(emptyPollInterval)
			defer again.Stop()
			for {
				select {
				case <-again.C:
				case <-ctx.Done():
					return errAsked
				}
				if allEmpty(ctx, s.subs, s.drainers) {
					return errAsked
				}
				if err := s.checkStandstill(ctx); err != nil {
					return err
				}
			}
		},
		Stop: func(error) { cancel() },
	}
}
