package worker

import (
	"context"
	"fmt"
	"strings"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/flow"
	kvflow "github.com/onceish/onceish/flow/kv"
	mongoflow "github.com/onceish/onceish/flow/mongo"
)

// LimitsCollection is the collection of MongoDB that has shared limits, before its namespace.
const LimitsCollection = "limits"

// limitStore is where limits are shared: in MongoDB where marks are kept there, else in NATS. It
// connects, and asks nothing of the limits: they are there, or made, when the first is needed.
func (c *Connections) limitStore(ctx context.Context) (store flow.Store, err error) {
	c.opening.Lock()
	defer c.opening.Unlock()
	switch {
	case c.limits != nil:
		return c.limits, nil
	case c.hasMongo():
		db, openErr := c.openDatabase(ctx)
		if openErr != nil {
			return nil, openErr
		}
		store, err = mongoflow.New(db.Collection(InNamespace(c.o.Namespace, LimitsCollection)), &mongoflow.Options{Logger: c.log})
	case c.nats != nil:
		js, jsErr := c.JetStream()
		if jsErr != nil {
			return nil, jsErr
		}
		store, err = kvflow.New(js, &kvflow.Options{Replicas: c.o.Replicas, Logger: c.log})
	default:
		return nil, fmt.Errorf("%w: a rate is shared over MongoDB or NATS, and there is neither", ErrUsage)
	}
	if err != nil {
		return nil, err
	}
	c.limits = store
	return store, nil
}

// limitName is the name of a subscription's shared limit. It is the same in every process.
func limitName(group, topic string) string {
	const most = 100
	name := natsbus.ConsumerName(group, topic)
	if len(name) > most {
		name = name[:40] + "_" + name[len(name)-(most-41):] // its end is a hash
	}
	return strings.ReplaceAll(name, ".", "_")
}
