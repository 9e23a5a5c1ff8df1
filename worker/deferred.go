package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/deferral"
)

// Deferred is what waits for its summary in a group.
type Deferred struct {
	conns        *Connections
	store        dedupe.Store
	group, topic string
}

// Deferred returns what a group has deferred on a topic. Empty topic: "deferred.GROUP". Like
// GroupMarks it makes sure that the group keeps its marks in the store of the connections. A topic
// without a stream is bus.ErrNoStream.
func (c *Connections) Deferred(ctx context.Context, group, topic string) (*Deferred, error) {
	d := &Deferred{conns: c, group: group, topic: cmp.Or(topic, "deferred."+group)}
	if _, err := c.GroupMarks(ctx, group); err != nil {
		return nil, err
	}
	if err := c.findTopic(ctx, d.topic); err != nil {
		return nil, err
	}
	var err error
	d.store, err = c.existingStore(ctx)
	return d, err
}

// findTopic fails if there is no stream with a topic. It makes none, also where streams are made on
// demand.
func (c *Connections) findTopic(ctx context.Context, topic string) error {
	reader, ok := c.bus.(bus.Reader)
	if !ok {
		return fmt.Errorf("%T cannot read topics again: %w", c.bus, errors.ErrUnsupported)
	}
	for _, err := range reader.Read(ctx, topic, bus.Range{HeadersOnly: true}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); err != nil && !dropped {
			return err
		}
		break // it is there
	}
	return nil
}

// Topic is where it waits.
func (d *Deferred) Topic() string { return d.topic }

// List is deferral.List.
func (d *Deferred) List(ctx context.Context) ([]deferral.Waiting, error) {
	return deferral.List(ctx, d.conns.bus, d.store, d.group, d.topic)
}

// Flush is deferral.Flush.
func (d *Deferred) Flush(ctx context.Context) error {
	return deferral.Flush(ctx, d.conns.bus, d.topic)
}

// Drop is deferral.Drop, with marks that are kept for 7 days.
func (d *Deferred) Drop(ctx context.Context, waiting ...deferral.Waiting) (deferral.Dropped, error) {
	return deferral.Drop(ctx, d.store, d.group, d.topic, 0, waiting...)
}
