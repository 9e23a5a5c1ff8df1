package bus

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"
)

// Delivery is one delivery of an event. It is answered once, by Ack, Nak or Term: the first wins,
// later ones return ErrAnswered and send nothing. Its methods are safe for concurrent use. They
// do not wait for the bus to confirm, and are not retried: when an answer is lost, the event
// is redelivered.
type Delivery struct {
	Event Event
	// Arrivals is how often the bus has delivered this event to the group, including this time.
	Arrivals int
	// At is the event's position.
	At Position
	// ServerMessage names what the bus's server has stored for its own purposes, such as a marker
	// in place of a deleted event; it is empty for events. Consumers acknowledge it without a run.
	ServerMessage string
	// Malformed is why the message could not be read as an event. Event then carries its bytes and
	// an ID made of its position.
	Malformed error

	answerer Answerer
	answered atomic.Bool
}

// Answerer is what a bus implements behind a Delivery.
type Answerer interface {
	// Answer is called at most once for a Delivery.
	Answer(ctx context.Context, s Answer) error
	// Extend restarts the deadline.
	Extend(ctx context.Context) error
}

// Answer ends a delivery. The zero Answer is an ack.
type Answer struct {
	// Nak asks for a redelivery, not before After has passed.
	Nak   bool
	After time.Duration
	// Reason, if not empty, makes it a term: the event is never redelivered.
	Reason string
}

// NewDelivery returns a Delivery. It is for implementers of a bus.
func NewDelivery(e Event, arrivals int, at Position, s Answerer) *Delivery {
	return &Delivery{Event: e, Arrivals: arrivals, At: at, answerer: s}
}

// Ack tells the bus that the group is done with the event.
func (d *Delivery) Ack(ctx context.Context) error { return d.answer(ctx, Answer{}) }

// Nak asks for a redelivery, not before after has passed; 0 means at once.
func (d *Delivery) Nak(ctx context.Context, after time.Duration) error {
	return d.answer(ctx, Answer{Nak: true, After: after})
}

// Term tells the bus never to deliver the event to this group again. An empty reason
// becomes "terminated".
func (d *Delivery) Term(ctx context.Context, reason string) error {
	return d.answer(ctx, Answer{Reason: cmp.Or(reason, "terminated")})
}

// Extend restarts the delivery's deadline. Once the delivery was answered it returns ErrAnswered.
func (d *Delivery) Extend(ctx context.Context) error {
	if d.answered.Load() {
		return ErrAnswered
	}
	return d.answerer.Extend(ctx)
}

func (d *Delivery) answer(ctx context.Context, s Answer) error {
	if d.answered.Swap(true) {
		return ErrAnswered
	}
	return d.answerer.Answer(ctx, s)
}
