package worker

import (
	"context"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// tap is a bus that remembers the source of its subscription, which knows what is left.
type tap struct {
	bus.Bus

	mu     sync.Mutex
	source bus.Source
}

// Subscribe remembers the source: the last one, for a lost cursor is made anew.
func (t *tap) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	s, err := t.Bus.Subscribe(ctx, topic, group, o)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source = s
	return s, nil
}

// empty asks whether everything on the topic is settled. What cannot be asked is not.
func (t *tap) empty(ctx context.Context) bool {
	t.mu.Lock()
	source := t.source
	t.mu.Unlock()
	info, err := source.Info(ctx)
	return err == nil && info.Pending == 0 && info.Unsettled == 0
}

// empty tells whether all subscriptions, and all outboxes, were empty at one time. A handler may publish to another's topic: what ended while they
// were asked one by one may have filled again what was empty before. What left an outbox before it was asked is on a topic by then.
func empty(ctx context.Context, subs []subscribed, drainers []*drainer) bool {
	before := endings(subs)
	for _, d := range drainers {
		if !d.empty(ctx) {
			return false
		}
	}
	for _, s := range subs {
		if s.sub.Stats().InFlight > 0 || !s.tap.empty(ctx) {
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
