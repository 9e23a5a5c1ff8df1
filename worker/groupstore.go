package worker

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
	natsgroup "github.com/onceish/onceish/group/nats"
)

// GroupStore is where the processes of groups know each other, and where groups are paused: on the
// NATS server, or in this process where the bus is another one. It makes the buckets that are
// missing. Repeated calls return the same one.
func (c *Connections) GroupStore(ctx context.Context) (group.Store, error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.groups != nil {
		return c.groups, nil
	}
	if c.nats == nil {
		s, err := memgroup.New(nil)
		if err != nil {
			return nil, err
		}
		c.groups = s
		return s, nil
	}
	s, err := natsgroup.New(ctx, c.nats, &natsgroup.Options{
		Replicas: c.o.Replicas, Domain: c.o.Bus.Domain, APIPrefix: c.o.Bus.APIPrefix, Logger: c.log,
	})
	if err != nil {
		return nil, fmt.Errorf("join groups on the NATS server %s: %w", c.busName, err)
	}
	c.groups = s
	return s, nil
}
