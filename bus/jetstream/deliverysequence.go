package jetstream

import (
	"fmt"

	"github.com/onceish/onceish/bus"
)

// deliverySequence counts the deliveries of a consumer that was rewound, which a single process
// reads. A delivery that got lost on its way, because the connection was lost or could not keep up,
// would arrive again after its ack wait, behind later events of its key. The zero value counts
// nothing.
type deliverySequence struct {
	counts bool
	last   uint64
}

// take notes a delivery by its ack subject, and returns an error if one before it is missing: then
// the cursor has to be rewound again.
func (d *deliverySequence) take(ackSubject, consumer string) error {
	if !d.counts {
		return nil
	}
	before := d.last
	if d.last = consumerSequence(ackSubject); d.last == before+1 {
		return nil
	}
	return fmt.Errorf("%w: delivery %d of consumer %q was lost on its way, so the cursor has to be rewound", bus.ErrConsumerLost, before+1, consumer)
}
