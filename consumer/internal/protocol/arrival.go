package protocol

import (
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Arrival is a delivery with what the driver worked out about it.
type Arrival struct {
	Delivery *bus.Delivery
	Key      dedupe.Key
	// Hash is that of the payload. If nil, payloads are not compared.
	Hash []byte
	// Order is the order key. Events with one key are handled one after the other;
	// empty is no order.
	Order string
	// DeadLetterReason, if not empty, is why the event is dead-lettered without a run.
	DeadLetterReason string
	// Foreign says that the message is no event of this group, but a copy for another one, or
	// something that the bus's server stored for itself. It is acked unrun.
	Foreign bool
}

// TakeControl takes the control headers off a delivery's event, so that no handler passes them on,
// and reports whether they say that the copy is for another group. An error says that they were
// written for another event, and are to be ignored.
func TakeControl(d *bus.Delivery, group string) (foreign bool, err error) {
	control, err := d.Event.Control()
	d.Event = d.Event.WithoutControl()
	return control.Group != "" && control.Group != group, err
}

// deliveryCopy is an Arrival that is in flight in this process.
type deliveryCopy struct {
	Arrival
	ackDeadline time.Time // then the bus redelivers it to anybody
	extendAt    time.Time

	heldUntil    time.Time // until then the store answers Held because of this process itself
	mayHoldClaim bool      // the row may be claimed by this process
	cursorGone   bool
	uncounted    int // arrivals that this process knows to have been no attempts
}

// earlierAttempts are the arrivals before this one that may have been attempts.
func (c *deliveryCopy) earlierAttempts() int { return max(0, c.Delivery.Arrivals-1-c.uncounted) }

// memorySize is how much memory a delivery takes, more or less.
func (c *deliveryCopy) memorySize() int {
	n := 256 + len(c.Delivery.Event.Data)
	for name, values := range c.Delivery.Event.Headers {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// maybeForeign reports whether the delivery may be another process's by now.
func (c *deliveryCopy) maybeForeign(now time.Time) bool {
	return c.cursorGone || !now.Before(c.ackDeadline)
}
