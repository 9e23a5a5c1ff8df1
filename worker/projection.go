package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/projector"
	"github.com/onceish/onceish/worker/config"
)

// projection makes the projection of a subscription that has one.
func (c *Connections) projection(ctx context.Context, s *config.Subscription) (*projector.Projection, error) {
	h := s.Handler.Project
	if h == nil {
		return nil, fmt.Errorf("%w: the handler of %q is not project", ErrUsage, s.Topic)
	}
	if !c.hasMongo() {
		return nil, fmt.Errorf("%w: the collection %q needs a MongoDB: set --mongo or MONGODB_URI", ErrUsage, h.Collection)
	}
	db, err := c.OpenDatabase(ctx)
	if err != nil {
		return nil, err
	}
	o, err := h.Options()
	if err != nil {
		return nil, err
	}
	return projector.New(db.Collection(InNamespace(c.o.Namespace, h.Collection)), projector.JSON(h.Key), o)
}

// Rebuild returns the rebuild of the projection that a group's subscription has. It is in the
// database of marks.
func (c *Connections) Rebuild(ctx context.Context, group string, s *config.Subscription, o *projector.RebuildOptions) (*projector.Rebuild, error) {
	p, err := c.projection(ctx, s)
	if err != nil {
		return nil, err
	}
	return c.rebuildOf(ctx, p, group, s, o)
}

func (c *Connections) rebuildOf(ctx context.Context, p *projector.Projection, group string, s *config.Subscription, o *projector.RebuildOptions) (*projector.Rebuild, error) {
	history, ok := c.bus.(projector.History)
	if !ok {
		return nil, fmt.Errorf("a %T cannot be read again: %w", c.bus, errors.ErrUnsupported)
	}
	store, err := c.Store(ctx)
	if err != nil {
		return nil, err
	}
	topic := s.Topic
	if n := s.Order.NumPartitions(); n > 0 {
		topic = fmt.Sprintf("%s.of%d.>", s.Topic, n)
	}
	if o == nil {
		o = &projector.RebuildOptions{}
	}
	opts := *o
	opts.MarkTTL = s.TTL
	return projector.NewRebuild(p, history, topic, group, store, &opts)
}

// StartProjection makes sure of the collection of a group's subscription, and does what is left of
// a swap that was ended in the middle. projector.ErrRebuild is returned for a collection that was
// made without one of the unique fields.
func (c *Connections) StartProjection(ctx context.Context, group string, s *config.Subscription) (*projector.Projection, error) {
	p, err := c.projection(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := p.Prepare(ctx); err != nil {
		if errors.Is(err, projector.ErrRebuild) {
			err = fmt.Errorf("%w: worker project rebuild, and then swap", err)
		}
		return nil, err
	}
	r, err := c.rebuildOf(ctx, p, group, s, nil)
	if errors.Is(err, errors.ErrUnsupported) {
		return p, nil // such a bus has no rebuilds
	}
	if err != nil {
		return nil, err
	}
	done, err := r.Finish(ctx)
	if err == nil && done.At != (bus.Position{}) {
		c.log.Info("finished the swap of a rebuilt projection", "topic", s.Topic, "sequence", done.At.Sequence)
	}
	return p, err
}
