package jetstream

import (
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

// deliveryCounter finds the deliveries that a Source misses. The server numbers what a consumer
// delivers, to whomever, across changes of its leader and without gaps; a redelivery has a number
// of its own. So what does not have the next number comes after something that was lost with a
// connection, was dropped by a client that was too slow, or went to another process; or the server
// has lost what it knew of the latest deliveries.
type deliveryCounter struct {
	counts bool
	last   atomic.Uint64 // the number of the last delivery before which nothing is missing
}

// startAfter begins to count after the delivery of this number.
func (c *deliveryCounter) startAfter(number uint64) {
	c.counts = true
	c.last.Store(number)
}

// isNext counts a delivery, and reports whether nothing is missing before it.
func (c *deliveryCounter) isNext(number uint64) bool {
	if !c.counts {
		return true
	}
	return c.last.CompareAndSwap(number-1, number)
}

// countDelivery counts a delivery, and reports whether it may be handed out. If something is
// missing before it, it ends the Source, and what was pulled: until that has ended on the server,
// the consumer cannot be rewound.
func (s *Source) countDelivery(ackSubject string) bool {
	number := consumerSequence(ackSubject)
	if s.counter.isNext(number) {
		return true
	}
	s.endWith(fmt.Errorf("%w: delivery %d of consumer %q on stream %q came after delivery %d: what is missing was lost on its way here, or went to another process; rewind the consumer",
		bus.ErrConsumerLost, number, s.consumer, s.stream, s.counter.last.Load()))
	s.closeInboxes()
	return false
}

// checkCount returns ErrConsumerLost if the server counts fewer deliveries than came here by then:
// what it will deliver has numbers that were used before, and nothing shows that some of it is
// missing.
func (s *Source) checkCount(c *jetstream.ConsumerInfo, counted uint64) error {
	if c.Delivered.Consumer >= counted {
		return nil
	}
	return fmt.Errorf("%w: consumer %q on stream %q has made %d deliveries, and %d came here: it was rewound, or its server lost what it knew; rewind the consumer",
		bus.ErrConsumerLost, s.consumer, s.stream, c.Delivered.Consumer, counted)
}
