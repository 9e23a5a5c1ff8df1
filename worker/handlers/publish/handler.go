package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
	"github.com/onceish/onceish/internal/percent"
	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker/internal/header"
)

// Where a published event came from. The values are percent-encoded.
const (
	// HeaderOriginTopic is the topic that the event was handled from.
	HeaderOriginTopic = "Onceish-Origin-Topic"
	// HeaderOriginID is its ID there.
	HeaderOriginID = "Onceish-Origin-Id"
	// HeaderOriginSource is its Source there.
	HeaderOriginSource = "Onceish-Origin-Source"
)

// Handler is a handler that publishes each event to another topic. Its methods are safe for
// concurrent use.
type Handler struct {
	send  func(context.Context, bus.Event) error
	topic string
}

// Adder adds events to an outbox, outside of any transaction: outbox/mongo has one. An event that
// is there already, or was, is no error; one of its topic, source and id with another payload is
// outbox.ErrExists.
type Adder interface {
	AddAlone(ctx context.Context, events ...bus.Event) (ids []string, err error)
}

// New returns a handler that publishes each event to the topic, as the package says. The
// publisher stays the caller's.
func New(to bus.Publisher, topic string) (*Handler, error) {
	if to == nil {
		return nil, errors.New("the publisher is nil: give the bus to publish to")
	}
	return newPublisher(topic, func(ctx context.Context, e bus.Event) error {
		_, err := to.Publish(ctx, e)
		return err
	})
}

// NewOutbox returns a handler that adds each event, for the topic, to an outbox, from which
// a drainer publishes it. The outbox stays the caller's.
func NewOutbox(to Adder, topic string) (*Handler, error) {
	if to == nil {
		return nil, errors.New("the outbox is nil: give the one to add to")
	}
	return newPublisher(topic, throughOutbox(to.AddAlone))
}

// TransactionAdder adds events to an outbox, in the transaction of ctx: outbox/mongo has one. An
// event that is there already, or was, is no error; another one under its id is outbox.ErrExists.
type TransactionAdder interface {
	Add(ctx context.Context, events ...bus.Event) (ids []string, err error)
}

// NewTransacted is NewOutbox for subscriptions of mode consumer.Transactional: the
// row and the mark of the event are committed together, or neither is.
func NewTransacted(to TransactionAdder, topic string) (*Handler, error) {
	if to == nil {
		return nil, errors.New("the outbox is nil: give the one to add to")
	}
	return newPublisher(topic, throughOutbox(to.Add))
}

func throughOutbox(add func(context.Context, ...bus.Event) ([]string, error)) func(context.Context, bus.Event) error {
	return func(ctx context.Context, e bus.Event) error {
		if _, err := add(ctx, e); err != nil {
			return fmt.Errorf("by way of the outbox: %w", err)
		}
		return nil
	}
}

func newPublisher(topic string, send func(context.Context, bus.Event) error) (*Handler, error) {
	if err := bus.ValidTopic(topic); err != nil {
		return nil, fmt.Errorf("publish to: %w", err)
	}
	return &Handler{send: send, topic: topic}, nil
}

// Handle is a consumer.Handler. It publishes once; the next attempt is the subscription's,
// and publishes the same event. Without a consumer.Attempt in its context it publishes
// nothing: consumer.ErrNoAttempt.
func (p *Handler) Handle(ctx context.Context, e bus.Event) error {
	attempt, err := consumer.RequireAttempt(ctx)
	if err != nil {
		return err
	}
	if e.Topic == p.topic {
		return consumer.Permanent(fmt.Errorf("the event is on %q already: published there again it would come back for ever", p.topic))
	}
	switch err = p.send(ctx, p.derivedEvent(&e, &attempt)); {
	case err == nil: // stored, or a duplicate of what is
		return nil
	case errors.Is(err, bus.ErrTooLarge), errors.Is(err, bus.ErrInvalidEvent), errors.Is(err, outbox.ErrExists):
		return consumer.Permanent(fmt.Errorf("publish to %q: %w", p.topic, err))
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	err = fmt.Errorf("publish to %q: %w", p.topic, err)
	if errors.Is(err, bus.ErrRefused) {
		return err
	}
	return consumer.Unavailable(err) // the bus, its stream or the outbox: every event would meet it
}

// derivedEvent is the same for every attempt: its id is the event's key in the group, which no
// other event and no other group has.
func (p *Handler) derivedEvent(e *bus.Event, a *consumer.Attempt) bus.Event {
	out := *e
	out.ID, out.Topic, out.Source, out.Type = a.Key.String(), p.topic, "", cloudevents.TypeOf(e)
	out.Headers = make(bus.Headers, len(e.Headers)+3)
	for name, values := range e.Headers {
		if isKeptHeader(name) {
			out.Headers[name] = legalValues(values)
		}
	}
	out.Headers.Set(HeaderOriginTopic, percent.Encode(e.Topic, percent.Attribute))
	out.Headers.Set(HeaderOriginID, percent.Encode(e.ID, percent.Attribute))
	out.Headers.Set(HeaderOriginSource, percent.Encode(cloudevents.SourceOf(e), percent.Attribute))
	return out
}

// isKeptHeader reports whether a header means on the new event what it meant on the old one. Those
// of Onceish do not: the group of a redriven copy would hide the event from all others.
func isKeptHeader(name string) bool {
	lower := strings.ToLower(name)
	attribute, isCloudEvents := strings.CutPrefix(lower, cloudevents.Prefix)
	switch {
	case !header.Valid(name), strings.HasPrefix(lower, "onceish-"), strings.HasPrefix(lower, "nats-"):
		return false
	case isCloudEvents:
		return !cloudevents.IsAttribute(attribute)
	}
	return lower != "content-type" // that of the message; Event.ContentType is kept
}

// legalValues are values on one line, without space around them, as the wire has them.
func legalValues(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.Trim(strings.NewReplacer("\r", " ", "\n", " ").Replace(v), " \t")
	}
	return out
}
