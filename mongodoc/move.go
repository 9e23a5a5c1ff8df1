package mongodoc

import (
	"context"
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/onceish/onceish/internal/waitingevents"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// Moved is what a pass of a mover came to.
type Moved struct {
	// Events were taken out of documents, and are rows: by this mover, or another one at the same
	// time.
	Events int
	// Dead of them are dead rows: the outbox has another event with the same topic, source and id.
	Dead int
	// Stuck is how many documents keep their events: somebody else has written the reserved field,
	// or the collection of the outbox refuses their rows. Nothing else waits for them.
	Stuck int
}

func (m *Moved) addCounts(n Moved) {
	m.Events, m.Dead, m.Stuck = m.Events+n.Events, m.Dead+n.Dead, m.Stuck+n.Stuck
}

// Move takes what waits now, and reports what it did. An error says that not all was looked at, or
// not all could be moved for now; what was moved stays so. It may be repeated, and be called at any
// time: one pass waits for another one's end.
func (m *Mover) Move(ctx context.Context) (Moved, error) {
	select {
	case m.passSlot <- struct{}{}:
		defer func() { <-m.passSlot }()
	case <-ctx.Done():
		return Moved{}, context.Cause(ctx)
	}
	var all Moved
	found := collectionConditions{}
	for _, db := range m.o.Databases {
		names, registered, err := m.knownCollections(ctx, db)
		if err != nil {
			found[db.Name()+"."+waitingevents.Registry] = collectionCondition{failed: fmt.Errorf("mongodoc: reading %s.%s: %w", db.Name(), waitingevents.Registry, err)}
		}
		for _, name := range names {
			p := &moveRun{
				mover: m, most: maxMove, stuck: map[string]bool{},
				from: waitingevents.Own(db.Collection(name)),
			}
			failed := p.moveAll(ctx)
			if !registered[name] && len(p.stuck)+p.done.Events > 0 {
				failed = errors.Join(failed, m.enterAgain(ctx, db, name))
			}
			all.addCounts(p.done)
			if failed != nil {
				failed = fmt.Errorf("mongodoc: moving events out of %s.%s: %w", db.Name(), name, failed)
			}
			if failed != nil || p.done.Stuck > 0 {
				found[db.Name()+"."+name] = collectionCondition{failed: failed, stuck: p.done.Stuck, why: p.why}
			}
		}
	}
	err := found.joinFailures()
	if ctx.Err() == nil {
		m.recordPass(found, all)
	}
	return all, err
}

// knownCollections are those of a database in which events may wait. One that was in the registry
// once, and is gone from it, is looked at for as long as the mover lives: somebody has restored or
// dropped the registry, and the processes that write to the collection do not know.
func (m *Mover) knownCollections(ctx context.Context, db *driver.Database) (names []string, registered map[string]bool, err error) {
	ctx, cancel := m.boundCall(ctx)
	defer cancel()
	names, err = waitingevents.Collections(ctx, db)
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.known[db]
	if known == nil {
		known = map[string]bool{}
		m.known[db] = known
	}
	registered = make(map[string]bool, len(names))
	for _, name := range names {
		registered[name], known[name] = true, true
	}
	for name := range known {
		if !registered[name] {
			names = append(names, name)
		}
	}
	return names, registered, err
}

// enterAgain names a collection in the registry from which it is gone, for other movers to find it.
func (m *Mover) enterAgain(ctx context.Context, db *driver.Database, name string) error {
	m.o.Logger.Warn("outbox: events waited in a collection that is gone from the registry: it is named there again", "collection", db.Name()+"."+name,
		"registry", waitingevents.Registry)
	ctx, cancel := m.boundCall(ctx)
	defer cancel()
	return waitingevents.Enter(ctx, waitingevents.Own(db.Collection(waitingevents.Registry)), name)
}

// collectionConditions are what keeps events in documents, by collection.
type collectionConditions map[string]collectionCondition

// collectionCondition is what keeps events in the documents of a collection.
type collectionCondition struct {
	failed error // the last pass, which may pass
	stuck  int   // how many documents keep their events
	why    error // the first of them does
}

func (c collectionCondition) asError() error {
	if c.stuck == 0 {
		return c.failed
	}
	return errors.Join(c.failed, fmt.Errorf("%d documents keep their events in %s, the first because: %w", c.stuck, ledger.Events, c.why))
}

func (c collectionConditions) joinFailures() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.failed)
	}
	return errors.Join(errs...)
}
