package projector

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
)

// item is an event on its way into a collection.
type item struct {
	ctx    context.Context //nolint:containedctx // each run of a batch has its own, as ItemContext returns it
	event  bus.Event
	key    dedupe.Key // that its group knows it by
	at     position
	change Change
	row    *row // of an upsert
	update any  // of a reduction
	// redriven says that the event is the copy of a dead letter.
	redriven bool
	// err is why it was not written. A permanent one is the fault of the event, or of what it says.
	err error
}

// Handle is a consumer.Handler. HandleBatch is faster.
func (p *Projection) Handle(ctx context.Context, e bus.Event) error {
	a, err := consumer.RequireAttempt(ctx)
	if err != nil {
		return err
	}
	it := &item{ctx: ctx, event: e, key: a.Key}
	p.plan(it, a.Original)
	return errors.Join(p.handleItems(ctx, []*item{it})...)
}

// HandleBatch is a consumer.BatchHandler.
func (p *Projection) HandleBatch(ctx context.Context, es []bus.Event) []error {
	attempts := consumer.BatchAttempts(ctx)
	if len(attempts) != len(es) {
		return consumer.FailBatch(consumer.ErrNoAttempt)
	}
	items := make([]*item, len(es))
	for i := range es {
		items[i] = &item{ctx: consumer.ItemContext(ctx, i), event: es[i], key: attempts[i].Key}
		p.plan(items[i], attempts[i].Original)
	}
	return p.handleItems(ctx, items)
}

// plan finds out what an item changes.
func (p *Projection) plan(it *item, at bus.Position) {
	var err error
	if it.at, err = positionOf(at); err == nil {
		err = p.writer.plan(it)
	}
	if err != nil {
		it.err = consumer.Permanent(fmt.Errorf("project into %s: %w", p.coll.Name(), err))
	}
}

// handleItems writes what was planned, and returns the results of a batch.
func (p *Projection) handleItems(ctx context.Context, items []*item) []error {
	if err := p.write(ctx, p.coll, planned(items)); err != nil {
		err = fmt.Errorf("project into %s: %w", p.coll.Name(), err)
		if blamesServer(ctx, err) {
			err = consumer.Unavailable(err)
		}
		return consumer.FailBatch(err)
	}
	errs := make([]error, len(items))
	for i, it := range items {
		errs[i] = it.err
	}
	return errs
}

// planned are the items that have something to write.
func planned(items []*item) []*item {
	out := make([]*item, 0, len(items))
	for _, it := range items {
		if it.err == nil && !it.change.isNone() {
			out = append(out, it)
		}
	}
	return out
}

// blamesServer reports whether a failed call says that every event would meet the same: there was
// no answer, or one that is about who asks. Otherwise one of the events may be at fault.
func blamesServer(ctx context.Context, err error) bool {
	var answer driver.ServerError
	return ctx.Err() != nil || driver.IsTimeout(err) || driver.IsNetworkError(err) || !errors.As(err, &answer) ||
		mongoserver.Unauthorized(err) || answer.HasErrorLabel("RetryableWriteError")
}
