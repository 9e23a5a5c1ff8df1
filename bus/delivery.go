package bus

import (
	"context"
	"sync/atomic"
	"time"
)

// Delivery is one arrival of an event. It is settled once: by Ack, Nak or Term. Of its settlements
// the first wins; later ones return ErrSettled and send nothing. Its methods are safe for
// concurrent use, do not wait for the bus to confirm, and are not retried: a settlement that gets
// lost costs another delivery.
type Delivery struct {
	Event Event
	// Arrivals is how often the bus has delivered this event to the group, this time included.
	Arrivals int
	// At is where the event lies.
	At Position
	// ServerMessage names what the bus's server has stored for a purpose of its own, such as a
	// marker in the place of an event that it deleted; empty for events. It is acknowledged unrun.
	ServerMessage string
	// Malformed says why the message could not be read as an event. Event then carries its bytes
	// and an ID made of its position.
	Malformed error

	settler Settler
	settled atomic.Bool
}

// Settler is what a bus implements behind a Delivery.
type Settler interface {
	// Settle is called at most once for a Delivery.
	Settle(ctx context.Context, s Settlement) error
	// Extend starts the deadline again.
	Extend(ctx context.Context) error
}

// Settlement ends a delivery. The zero Settlement is an ack.
type Settlement struct {
	// Nak: deliver again, not before After has passed.
	Nak   bool
	After time.Duration
	// Reason, if not empty, is a term: never deliver again, and tell why.
	Reason string
}

// NewDelivery is for implementers of a bus.
func NewDelivery(e Event, arrivals int, at Position, s Settler) *Delivery {
	return &Delivery{Event: e, Arrivals: arrivals, At: at, settler: s}
}

// Ack tells the bus that the group is done with the event.
func (d *Delivery) Ack(ctx context.Context) error { return d.settle(ctx, Settlement{}) }

// Nak asks for the event again, not before after has passed; 0 means at once.
func (d *Delivery) Nak(ctx context.Context, after time.Duration) error {
	return d.settle(ctx, Settlement{Nak: true, After: after})
}

// Term tells the bus never to deliver the event to this group again. An empty reason
// becomes "terminated".
func (d *Delivery) Term(ctx context.Context, reason string) error {
	if reason == "" {
		reason = "terminated"
	}
	return d.settle(ctx, Settlement{Reason: reason})
}

// Extend starts the delivery's deadline anew. After a settlement it returns ErrSettled.
func (d *Delivery) Extend(ctx context.Context) error {
	if d.settled.Load() {
		return ErrSettled
	}
	return d.settler.Extend(ctx)
}

func (d *Delivery) settle(ctx context.Context, s Settlement) error {
	if d.settled.Swap(true) {
		return ErrSettled
	}
	return d.settler.Settle(ctx, s)
}
