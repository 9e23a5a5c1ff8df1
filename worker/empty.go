package worker

import (
	"context"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
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

// pollEmpty is how often the bus is asked.
const pollEmpty = 100 * time.Millisecond

// untilEmpty ends when there is nothing left to do.
func untilEmpty(t *tap, sub *consumer.Subscription) Actor {
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
				if sub.Stats().InFlight == 0 && t.empty(ctx) {
					return errAsked
				}
			}
		},
		Stop: func(error) { cancel() },
	}
}
