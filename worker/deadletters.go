package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
)

// ErrNoMarks is returned by GroupMarks and ReplayTarget when the store has nothing of the group.
var ErrNoMarks = errors.New("there are no marks of the group")

// DeadLetters returns the dead-letter topic of a group. Empty topic: "dead.GROUP".
func (c *Connections) DeadLetters(group, topic string) (*deadletter.Topic, error) {
	return deadletter.OpenTopic(c.bus, cmp.Or(topic, "dead."+group))
}

// GroupMarks returns the store of the connections to reopen rows of the group, after it has made
// sure that the group keeps its marks there: a letter that is redriven by the marks of another
// store would be acknowledged unrun. A group that has run has a watermark at least; where there is
// none on any of its topics, it is ErrNoMarks. A group without a consumer is ErrNoConsumer. It
// makes no bucket.
func (c *Connections) GroupMarks(ctx context.Context, group string) (dedupe.Reopener, error) {
	groups, err := c.Groups(ctx)
	if err != nil {
		return nil, err
	}
	store, err := c.existingStore(ctx)
	if errors.Is(err, kvdedupe.ErrNoBucket) {
		return nil, fmt.Errorf("%w %q in NATS: %w", ErrNoMarks, group, err)
	}
	if err != nil {
		return nil, err
	}
	reopener, ok := store.(dedupe.Reopener)
	watermarks, has := store.(dedupe.Watermarker)
	if !ok || !has {
		return nil, fmt.Errorf("a %T cannot reopen rows, or keeps no watermarks: %w", store, errors.ErrUnsupported)
	}
	err = fmt.Errorf("%w: there is no consumer of the group %q on %s", ErrNoConsumer, group, c.BusName())
	for _, g := range groups {
		if g.Name != group {
			continue
		}
		kept, failed := watermarks.Watermarks(ctx, group, g.Topic)
		if failed != nil {
			return nil, failed
		}
		if len(kept) > 0 {
			return reopener, nil
		}
		err = fmt.Errorf("%w %q in %s", ErrNoMarks, group, c.StoreName())
	}
	return nil, err
}
