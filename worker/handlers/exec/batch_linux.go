package exec

import (
	"context"
	"fmt"
	"sync"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// streamEvent is an event as a command of mode stream is told of it.
type streamEvent struct {
	key   string
	line  []byte
	batch uint64 // in which it is written, together with others; 0: in none
}

// HandleBatch is a consumer.BatchHandler. It hands the events over as a batch; see the package.
func (s *Stream) HandleBatch(ctx context.Context, es []bus.Event) []error {
	results := make([]error, len(es))
	var shared []streamEvent
	var indexes []int // of those
	var suspects sync.WaitGroup
	batch := s.batches.Add(1)
	for i := range es {
		own := consumer.ItemContext(ctx, i)
		line, err := encodeEvent(own, &es[i], s.group)
		e := streamEvent{key: consumer.AttemptFrom(own).IdempotencyKey, line: line, batch: batch}
		switch {
		case err != nil:
			results[i] = unwritableError(err)
		case s.suspects.hasKey(e.key):
			e.batch = s.batches.Add(1)
			suspects.Go(func() { results[i] = s.classifyOutcome(e.key, s.runAlone(ctx, e)) })
		default:
			shared, indexes = append(shared, e), append(indexes, i)
		}
	}
	for n, out := range s.sharedSlot.runBatch(ctx, shared) {
		results[indexes[n]] = s.classifyOutcome(shared[n].key, out)
	}
	suspects.Wait()
	return results
}

func unwritableError(err error) error {
	return consumer.Permanent(fmt.Errorf("the event cannot be written as a line: %w", err))
}

// runBatch tells a child of the events, and the next one of those that it has not read.
func (l *processSlot) runBatch(ctx context.Context, es []streamEvent) []deliveryOutcome {
	outs := make([]deliveryOutcome, len(es))
	pending := make([]int, len(es))
	for i := range pending {
		pending[i] = i
	}
	for len(pending) > 0 {
		c, err := l.acquireChild(ctx)
		if err != nil {
			for _, i := range pending {
				outs[i] = deliveryOutcome{fate: fateUnsent, err: err}
			}
			return outs
		}
		pending = c.runBatch(ctx, es, pending, outs)
	}
	return outs
}

// runBatch tells the child of the events with these indexes, waits for how each ends, and returns
// the indexes of those that it has not read.
func (c *childProcess) runBatch(ctx context.Context, es []streamEvent, indexes []int, outs []deliveryOutcome) (unread []int) {
	deliveries := c.queueBatch(es, indexes, outs)
	c.wakeWriter()
	var waiting sync.WaitGroup
	for n, d := range deliveries {
		if d != nil {
			waiting.Go(func() { outs[indexes[n]] = c.awaitOutcome(ctx, d) })
		}
	}
	waiting.Wait()
	for _, i := range indexes {
		if outs[i].fate == fateUnread {
			unread = append(unread, i)
		}
	}
	return unread
}

// queueBatch queues deliveries of the events, so that they are written one behind the other. Where
// one is nil, its outcome is set.
func (c *childProcess) queueBatch(es []streamEvent, indexes []int, outs []deliveryOutcome) []*streamDelivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]*streamDelivery, len(indexes))
	for n, i := range indexes {
		if out[n], outs[i] = c.queueLocked(es[i]); out[n] == nil && outs[i].answer == nil {
			outs[i].fate = fateUnread
		}
	}
	return out
}

// placeInBatch returns the place of a delivery among those of its batch, which follow one another,
// and how many they are; 0 of one in no batch.
func placeInBatch(ds []*streamDelivery, i int) (index, size int) {
	if ds[i].batch == 0 {
		return 0, 0
	}
	first, end := i, i+1
	for first > 0 && ds[first-1].batch == ds[i].batch {
		first--
	}
	for end < len(ds) && ds[end].batch == ds[i].batch {
		end++
	}
	return i - first, end - first
}
