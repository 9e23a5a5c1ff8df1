package mongo

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/outbox"
)

// preparePartitions makes the table unless it is there. number is what theirs is to be; 0: any.
func (q *Queue) preparePartitions(ctx context.Context, number int) error {
	t := leaseTable{Owners: []leaseOwner{}, Partitions: make([]partitionHolding, cmp.Or(number, outbox.DefaultPartitions))}
	for i := range t.Partitions {
		t.Partitions[i].Until = time.UnixMilli(0)
	}
	doc := bson.D{expr.Field("_id", tableID), expr.Field("outbox", rand.Text()), expr.Field("version", t.Version), expr.Field("owners", t.Owners), expr.Field("partitions", t.Partitions)}
	_, _, err := mongoserver.Write(ctx, q.parts, []driver.WriteModel{driver.NewInsertOneModel().SetDocument(doc)}, false)
	if err != nil {
		return err
	}
	there, err := q.readTable(ctx)
	if err != nil {
		return err
	}
	q.seq = sequenceOf(there.Outbox)
	if number != 0 && number != len(there.Partitions) {
		return fmt.Errorf("%w: it was made with %d partitions, and Options.Partitions is %d: set it to that, or to zero", ErrCollection, len(there.Partitions), number)
	}
	return nil
}

func (q *Queue) readTable(ctx context.Context) (*leaseTable, error) {
	cur, err := q.parts.Aggregate(ctx, bson.A{expr.Op("$match", expr.Op("_id", tableID)), expr.Op("$addFields", expr.Op("now", expr.Now))})
	if err != nil {
		return nil, err
	}
	var ts []leaseTable
	if err := cur.All(ctx, &ts); err != nil {
		return nil, err
	}
	if len(ts) == 0 || len(ts[0].Partitions) == 0 {
		return nil, fmt.Errorf("the leases are gone from %s, or not to be seen yet", q.parts.Name())
	}
	return &ts[0], nil
}

// Acquire implements outbox.Queue. It costs two round trips, and two more whenever another owner
// came in between.
func (q *Queue) Acquire(ctx context.Context, name string, lease time.Duration) ([]outbox.Lease, error) {
	if name == "" || lease <= 0 {
		return nil, fmt.Errorf("outbox/mongo: acquire for owner %q, lease %v: name an owner, and a lease above 0", name, lease)
	}
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	var a *leaseAssignment
	var read time.Time
	after, err := q.changeTable(ctx, func(t *leaseTable) bson.A {
		a, read = t.assignTo(name), t.Now
		return a.toUpdate(t, lease)
	})
	if err != nil {
		return nil, q.callFailed("acquire", err)
	}
	return a.grantedLeases(after, read, lease), nil
}

// errMissed: another has changed the table in between.
var errMissed = errors.New("others change the leases all the time; retry")

// changeTable changes the table, as often as others come in between, and returns it as it is
// afterwards. plan says how, nil: not at all.
func (q *Queue) changeTable(ctx context.Context, plan func(*leaseTable) bson.A) (*leaseTable, error) {
	for try := 0; ; try++ {
		t, err := q.readTable(ctx)
		if err != nil {
			return nil, err
		}
		update := plan(t)
		if update == nil {
			return t, nil
		}
		var after leaseTable
		err = q.parts.FindOneAndUpdate(ctx, bson.D{expr.Field("_id", tableID), expr.Field("version", t.Version)}, update,
			options.FindOneAndUpdate().SetReturnDocument(options.After)).Decode(&after)
		if !errors.Is(err, driver.ErrNoDocuments) {
			return &after, err
		}
		if err := mongoserver.Pause(ctx, mathrand.IntN(min(try+2, 6))); err != nil { //nolint:gosec // those that collide are not to do so again
			return nil, errors.Join(errMissed, err)
		}
	}
}

// Release implements outbox.Queue. It costs two round trips at most, and two more whenever another
// owner came in between.
func (q *Queue) Release(ctx context.Context, name string, leases []outbox.Lease) error {
	ctx, cancel := q.boundCall(ctx)
	defer cancel()
	_, err := q.changeTable(ctx, func(t *leaseTable) bson.A {
		if !t.releaseHeld(name, leases) {
			return nil
		}
		return bson.A{expr.Op("$set", bson.D{
			expr.Field("version", t.Version+1), expr.Field("owners", expr.Literal(t.Owners)), expr.Field("partitions", expr.Literal(t.Partitions)),
		})}
	})
	if err != nil {
		return q.callFailed("release", err)
	}
	return nil
}
