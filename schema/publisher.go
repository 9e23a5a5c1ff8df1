package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/onceish/onceish/bus"
)

// PublisherOptions of NewPublisher. The zero value means the defaults.
type PublisherOptions struct {
	// Versions are those that this producer writes, by subject. An event whose dataschema names a
	// version is checked against that. Default: the newest one. A producer that is deployed apart
	// from its schemas says which version it was written for, so that a newer one does not stop it.
	Versions map[Subject]int
	// Require refuses events of a subject without a schema. Default: they are published unchecked.
	Require bool
	// Away is what becomes of events whose schemas are not known. Default: Retry.
	Away Away
}

// Publisher is a bus.Publisher that publishes valid events alone. It has no other ability of the
// Publisher under it.
type Publisher struct {
	under    bus.Publisher
	registry *Registry
	options  PublisherOptions
}

var _ bus.Publisher = (*Publisher)(nil)

// NewPublisher returns a Publisher that checks events and then publishes them by another one.
// Errors are ErrInvalid.
func NewPublisher(under bus.Publisher, r *Registry, o *PublisherOptions) (*Publisher, error) {
	options := *cmp.Or(o, &PublisherOptions{})
	if err := options.Away.validate(); err != nil {
		return nil, err
	}
	versions := make(map[Subject]int, len(options.Versions))
	for s, number := range options.Versions {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("PublisherOptions.Versions: %w", err)
		}
		if number < 1 {
			return nil, fmt.Errorf("%w: PublisherOptions.Versions: version %d of %s: the first one is 1", ErrInvalid, number, s)
		}
		versions[s.WithDefaults()] = number
	}
	options.Versions = maps.Clone(versions)
	return &Publisher{under, r, options}, nil
}

// Publish implements bus.Publisher. If an event violates its schema, or its schemas are not known,
// none of the events is published: its Receipt has the *ViolationError, which is
// bus.ErrInvalidEvent, or bus.ErrUnavailable, and those of the others ErrNotPublished. Each
// published event has the dataschema of the version that it was checked against, unless it brought
// another one that is none of ours.
func (p *Publisher) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	checked := make([]bus.Event, len(events))
	wrong := make([]error, len(events))
	refused := false
	for i := range events {
		checked[i], wrong[i] = p.check(ctx, events[i])
		refused = refused || wrong[i] != nil
	}
	if !refused {
		return p.under.Publish(ctx, checked...)
	}
	receipts := make([]bus.Receipt, len(events))
	for i, err := range wrong {
		if err == nil {
			err = ErrNotPublished
		}
		receipts[i].Err = fmt.Errorf("event %.64q: %w", events[i].ID, err)
		wrong[i] = receipts[i].Err
	}
	return receipts, errors.Join(wrong...)
}

// check returns the event as it is published.
func (p *Publisher) check(ctx context.Context, e bus.Event) (bus.Event, error) {
	s := SubjectOf(&e)
	number, ok := NumberOf(&e)
	if !ok {
		return e, foreignDataSchema(s)
	}
	number = cmp.Or(number, p.options.Versions[s])
	documents, err := p.registry.schemas(ctx, s, number)
	if err == nil && number > len(documents) {
		err = fmt.Errorf("%w: version %d of %s", ErrNoSchema, number, s)
	}
	switch {
	case err != nil:
		return e, p.away(ctx, s, err)
	case len(documents) == 0 && p.options.Require:
		return e, &ViolationError{Subject: s, Problem: "its topic and type have no schema, which is required"}
	case len(documents) == 0:
		return e, nil
	}
	number = cmp.Or(number, len(documents))
	if wrong := documents[number-1].Validate(e.Data); wrong != nil {
		wrong.Subject, wrong.Number = s, number
		return e, wrong
	}
	if e.Headers.Get(HeaderDataSchema) != "" {
		return e, nil // it names this version, or the producer's own place for it
	}
	return WithNumber(e, number), nil
}

// away is what Options say of events whose schemas are not known.
func (p *Publisher) away(ctx context.Context, s Subject, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case p.options.Away == Pass:
		return nil
	case p.options.Away == Refuse:
		return notKnown(s, err)
	}
	return fmt.Errorf("%w (%w)", err, bus.ErrUnavailable)
}

func notKnown(s Subject, err error) *ViolationError {
	return &ViolationError{Subject: s, Problem: "it cannot be checked: " + err.Error()}
}

func foreignDataSchema(s Subject) *ViolationError {
	return &ViolationError{Subject: s, Problem: "its dataschema names a version of another subject"}
}
