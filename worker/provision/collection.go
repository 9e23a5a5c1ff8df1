package provision

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/mongo"

	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	mongoflow "github.com/onceish/onceish/flow/mongo"
	"github.com/onceish/onceish/internal/mongoserver"
	mongooutbox "github.com/onceish/onceish/outbox/mongo"
	"github.com/onceish/onceish/worker"
)

// collectionPart is a collection with its indexes.
type collectionPart struct {
	coll   *mongo.Collection
	layout *mongoserver.Layout
}

// collections are those of the worker, where it has a MongoDB.
func (p *planner) collections(ctx context.Context) (parts []part, err error) {
	db, err := p.conns.OpenDatabase(ctx)
	if db == nil || err != nil {
		return nil, err
	}
	add := func(name string, layout *mongoserver.Layout) {
		parts = append(parts, &collectionPart{db.Collection(worker.InNamespace(p.c.Mongo.Namespace, name)), layout})
	}
	if len(p.c.Subscriptions) > 0 {
		add(worker.MarksCollection, mongodedupe.Layout())
	}
	if p.sharesLimits() {
		add(worker.LimitsCollection, mongoflow.Layout())
	}
	if p.c.Outbox != nil {
		add(p.c.Outbox.Collection, mongooutbox.Layout(p.c.Outbox.Retention))
	}
	return parts, nil
}

// examine implements part.
func (c *collectionPart) examine(ctx context.Context) (Item, func(context.Context) error) {
	item := Item{Kind: KindCollection, Name: c.coll.Database().Name() + "." + c.coll.Name()}
	differences, exists, err := c.differences(ctx)
	if err != nil {
		item.Command = c.showIndexes(err)
		return item.refused(err), nil
	}
	for _, d := range differences {
		item.Fields = append(item.Fields, indexField(d))
	}
	switch {
	case len(differences) == 0:
		item.Action = Keep
		return item, nil
	case exists:
		item.Action = Change
	default:
		item.Action = Create
	}
	return item, c.ensure
}

func (c *collectionPart) differences(ctx context.Context) ([]mongoserver.Difference, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return c.layout.Differences(ctx, c.coll)
}

// indexTime bounds the making of indexes, of collections that may be large.
const indexTime = 10 * requestTime

func (c *collectionPart) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, indexTime)
	defer cancel()
	return c.layout.Ensure(ctx, c.coll)
}

// showIndexes is the command to begin with where a collection cannot serve.
func (c *collectionPart) showIndexes(err error) string {
	if !errors.Is(err, c.layout.Unfit) {
		return ""
	}
	return fmt.Sprintf("mongosh %s --eval 'db.getCollection(%s).getIndexes()'", c.coll.Database().Name(), strconv.Quote(c.coll.Name()))
}

// indexField shows an index that is to be made, or one that is to expire rows at another time.
func indexField(d mongoserver.Difference) Field {
	f := Field{Name: d.Want.String(), Want: "made"}
	if d.Want.Expires {
		f.Want = fmt.Sprintf("%.0fs", d.Want.After.Seconds())
	}
	if d.Found != nil {
		f.Have = fmt.Sprintf("%.0fs", *d.Found.TTL)
	}
	return f
}
