package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/internal/backoff"
)

// Groups returns the groups on the bus, by name and topic.
func (c *Connections) Groups(ctx context.Context) ([]natsbus.Group, error) {
	b, ok := c.bus.(*natsbus.Bus)
	if !ok {
		return nil, fmt.Errorf("groups are listed on JetStream alone, and the bus is a %T", c.bus)
	}
	return b.Groups(ctx)
}

// Removed is what was removed of a group.
type Removed struct {
	Consumers int `json:"consumers"`
	// Marks and watermarks, in the store of the connections.
	Marks int `json:"marks"`
}

// RemoveGroup removes all that there is of a group: its consumers on all topics, and its marks and
// watermarks in the store. A group with members is natsbus.ErrGroupRuns, and stays as it is. One
// with unsettled events may have members that do not show, and so may one without a consumer, which
// is ErrNoConsumer: sure says that there are none. It may be repeated after an error.
func (c *Connections) RemoveGroup(ctx context.Context, name string, sure bool) (r Removed, err error) {
	b, ok := c.bus.(*natsbus.Bus)
	if !ok {
		return r, fmt.Errorf("groups are removed on JetStream alone, and the bus is a %T", c.bus)
	}
	all, err := idleGroups(ctx, b, name, sure)
	if err != nil {
		return r, err
	}
	if len(all) == 0 && !sure {
		return r, fmt.Errorf("%w: there is no consumer of the group %q on %s, so nothing shows whether its workers run: stop them before what is remembered of it is removed",
			ErrNoConsumer, name, c.BusName())
	}
	store, err := c.groupRemover(ctx)
	if err != nil {
		return r, err
	}
	for _, g := range all {
		if err := b.RemoveGroup(ctx, g, sure); err != nil {
			return r, err
		}
		r.Consumers++
	}
	if err := c.removePlans(ctx, name); err != nil {
		return r, err
	}
	if store != nil {
		r.Marks, err = store.RemoveGroup(ctx, name)
	}
	return r, err
}

// removePlans forgets who owned the partitions of the group's topics.
func (c *Connections) removePlans(ctx context.Context, name string) error {
	store, err := c.GroupStore(ctx)
	if err != nil {
		return err
	}
	plans, err := group.Plans(ctx, store, name)
	if err != nil {
		return err
	}
	for i := range plans {
		if err := store.Delete(ctx, group.PlanRows, name, plans[i].Topic); err != nil {
			return err
		}
	}
	return nil
}

// idleGroups are the group's consumers, if none has a member. It looks several times: a member
// whose request for events has just ended shows by the next one.
func idleGroups(ctx context.Context, b *natsbus.Bus, group string, sure bool) (found []natsbus.Group, err error) {
	const looks, pause = 3, 300 * time.Millisecond
	var firstLook time.Time // when it was over
	for look := range looks {
		if look > 0 {
			if err := backoff.Sleep(ctx, pause); err != nil {
				return nil, err
			}
		}
		asked := time.Now()
		all, err := b.Groups(ctx)
		if err != nil {
			return nil, err
		}
		if look == 0 {
			firstLook = time.Now()
		}
		found = slices.DeleteFunc(all, func(g natsbus.Group) bool { return g.Name != group })
		for i := range found {
			if err := found[i].Busy(sure); err != nil {
				return nil, err
			}
			if idle := found[i].Idle; idle > 0 && idle < asked.Sub(firstLook) {
				return nil, fmt.Errorf("group %q on topic %q: %w: events were delivered or acknowledged meanwhile", group, found[i].Topic, natsbus.ErrGroupRuns)
			}
		}
	}
	return found, nil
}

// groupRemover is the store, if it is there: none is made.
func (c *Connections) groupRemover(ctx context.Context) (dedupe.GroupRemover, error) {
	store, err := c.existingStore(ctx)
	if errors.Is(err, kvdedupe.ErrNoBucket) {
		return nil, nil //nolint:nilnil // no marks
	}
	if err != nil {
		return nil, err
	}
	r, ok := store.(dedupe.GroupRemover)
	if !ok {
		return nil, fmt.Errorf("a %T cannot forget a group", store)
	}
	return r, nil
}
