package mongodoc

import (
	"context"
	"fmt"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/waitingevents"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

const (
	// registeredFor is how long a collection is taken to be registered once it was: somebody may
	// restore or drop the registry, or the collection.
	registeredFor = time.Minute
	// indexWithin bounds the making of an index. The collection may be huge.
	indexWithin = time.Hour
)

// ensureRegistered makes sure that events which wait in the collection will be found, before
// the first of them waits, and again every minute. It takes as long as ctx allows, for it
// makes an index.
func (u *Updater) ensureRegistered(ctx context.Context, coll *driver.Collection) error {
	in, now := namespaceOf(coll), u.clock.Local()
	u.indexes.mu.Lock()
	last, there := u.indexes.waiting[in]
	u.indexes.mu.Unlock()
	if age := now.Sub(last); there && age >= 0 && age < registeredFor {
		return nil
	}
	ctx, cancel := context.WithTimeout(driver.NewSessionContext(ctx, nil), indexWithin) // also where the client has a bound
	defer cancel()
	if _, err := coll.Indexes().CreateOne(ctx, waitingevents.Index()); err != nil {
		return fmt.Errorf("making the index %s of %v, by which documents with events that wait are found; where this user may not, have it made: "+
			`createIndex({"%s": 1, _id: 1}, {name: "%s", partialFilterExpression: {"%s": true}}): %w`, ledger.Field, in, ledger.Waits, ledger.Field, ledger.Waits, err)
	}
	registry := coll.Database().Collection(waitingevents.Registry, options.Collection().SetWriteConcern(writeconcern.Majority()))
	if err := waitingevents.Enter(ctx, registry, coll.Name()); err != nil {
		return fmt.Errorf("naming %v in %s.%s: %w", in, in.database, waitingevents.Registry, err)
	}
	u.indexes.mu.Lock()
	defer u.indexes.mu.Unlock()
	u.indexes.waiting[in] = now
	return nil
}
