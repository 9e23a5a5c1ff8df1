package schema

import (
	"cmp"
	"context"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// MiddlewareOptions of Middleware. The zero value means the defaults.
type MiddlewareOptions struct {
	// Upcasters make newer data of that of older versions. The handler gets the version that they
	// lead to, and later ones as they are. Default: none.
	Upcasters []Upcaster
	// Require dead-letters events of a subject without a schema. Default: they are handled
	// unchecked.
	Require bool
	// Away is what becomes of events whose schemas, or whose version, are not known. Default:
	// Retry.
	Away Away
}

// Middleware returns a consumer.Middleware that checks each event before its handler runs. What
// violates its schema is dead-lettered (consumer.Permanent) with the *ViolationError as the reason;
// so is what an upcaster fails for, or makes something of that violates the newer version. The
// dataschema of the event that the handler gets names the version of its data. Errors are
// ErrInvalid.
func Middleware(r *Registry, o *MiddlewareOptions) (consumer.Middleware, error) {
	options := *cmp.Or(o, &MiddlewareOptions{})
	if err := options.Away.validate(); err != nil {
		return nil, err
	}
	c, err := newChain(options.Upcasters)
	if err != nil {
		return nil, err
	}
	return func(next consumer.Handler) consumer.Handler {
		return (&checkedHandler{r, options, c, next}).handle
	}, nil
}

// checkedHandler is a handler behind the check.
type checkedHandler struct {
	registry *Registry
	options  MiddlewareOptions
	chain    chain
	next     consumer.Handler
}

func (h *checkedHandler) handle(ctx context.Context, e bus.Event) error {
	s := SubjectOf(&e)
	number, ok := NumberOf(&e)
	if !ok {
		return consumer.Permanent(foreignDataSchema(s))
	}
	documents, err := h.known(ctx, s, number)
	switch {
	case err != nil:
		return h.away(ctx, e, s, err)
	case len(documents) == 0 && h.options.Require:
		return consumer.Permanent(&ViolationError{Subject: s, Problem: "its topic and type have no schema, which is required"})
	case len(documents) == 0:
		return h.next(ctx, e)
	}
	found, wrong := validUnder(documents, number, e.Data)
	if wrong != nil {
		wrong.Subject, wrong.Number = s, found
		return consumer.Permanent(wrong)
	}
	if h.chain.needed(s.Type, found) {
		return h.upcast(ctx, e, s, found)
	}
	if number == 0 {
		e = WithNumber(e, found)
	}
	return h.next(ctx, e)
}

// known returns versions up to one that is needed.
func (h *checkedHandler) known(ctx context.Context, s Subject, need int) ([]*Document, error) {
	documents, err := h.registry.schemas(ctx, s, need)
	if err == nil && need > len(documents) {
		err = fmt.Errorf("%w: version %d of %s", ErrNoSchema, need, s)
	}
	return documents, err
}

// away is what Options say of events whose schemas are not known.
func (h *checkedHandler) away(ctx context.Context, e bus.Event, s Subject, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case h.options.Away == Pass:
		return h.next(ctx, e)
	case h.options.Away == Refuse:
		return consumer.Permanent(notKnown(s, err))
	}
	return consumer.Unavailable(err)
}

// validUnder checks data against the version that it is of, or, where that is 0, finds the newest
// version that it is valid under. It returns that version, or the first that was tried and how the
// data violates it.
func validUnder(documents []*Document, number int, data []byte) (int, *ViolationError) {
	first := cmp.Or(number, len(documents))
	v, err := decodeJSON(data)
	if err != nil {
		return first, violationOf(err)
	}
	wrong := documents[first-1].validateValue(v)
	if wrong == nil {
		return first, nil
	}
	for older := first - 1; number == 0 && older > 0; older-- {
		if documents[older-1].validateValue(v) == nil {
			return older, nil
		}
	}
	return first, wrong
}

// upcast runs the handler with newer data.
func (h *checkedHandler) upcast(ctx context.Context, e bus.Event, s Subject, from int) error {
	data, number, err := h.chain.apply(s.Type, from, e.Data)
	if err != nil {
		return consumer.Permanent(err)
	}
	documents, err := h.known(ctx, s, number)
	switch {
	case err != nil && h.options.Away != Pass:
		return h.away(ctx, e, s, err)
	case err == nil:
		if wrong := documents[number-1].Validate(data); wrong != nil {
			wrong.Subject, wrong.Number = s, number
			return consumer.Permanent(fmt.Errorf("upcast from version %d: %w", from, wrong))
		}
	}
	e.Data = data
	return h.next(ctx, WithNumber(e, number))
}
