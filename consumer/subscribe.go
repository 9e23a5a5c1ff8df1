package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// SubscribeExactlyOnce starts a subscription that runs h so that each event on topic takes effect
// once per group. It returns when the subscription is running. The topic may be a pattern
// ("order.*"). When ctx ends, the subscription drains; handlers get the values of ctx, not its
// cancellation.
//
// The bus and the store stay the caller's: close them after Subscription.Done. A store without
// dedupe.Claimer needs Options.Mode SeenMark; mode Transactional needs one with dedupe.Transactor,
// and a server that passes its probe.
//
// SubscribeExactlyOnce refuses what could lose or repeat events: options out of bounds, a topic or
// a dead-letter topic without a stream (bus.ErrNoStream, ErrDeadLetterTopic), marks that expire too
// soon (ErrUnsafeTTL).
func SubscribeExactlyOnce(ctx context.Context, b bus.Bus, topic, group string,
	store dedupe.Store, h Handler, o *Options,
) (*Subscription, error) {
	s, err := prepareSubscription(ctx, b, topic, group, store, h, o)
	if err == nil {
		err = s.begin(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe group %q to %q: %w", group, topic, err)
	}
	return s, nil
}

// eventsToHandle is how many events there are for a new group at most. Another process may have
// taken some, and what lies below its start may be delivered, for the store to recognise.
func eventsToHandle(state *bus.Info, start, last bus.Position) uint64 {
	n := state.Pending + state.Unsettled
	if start.Sequence == 0 || start.Stream != last.Stream {
		return n
	}
	return min(n, last.Sequence-min(start.Sequence, last.Sequence))
}

func startText(from bus.Start) string {
	if from.Latest {
		return "latest"
	}
	return from.Time.Format(time.RFC3339Nano)
}
