package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/ledger"
	"github.com/onceish/onceish/internal/mongoserver"
)

// updateTries bounds how often a change that missed is tried again: each time somebody else was quicker.
const updateTries = 100

// raceTries is how many duplicates in a row are a lost race; the next one is another document in the way.
const raceTries = 5

// Update is what UpdateOnce answers: the document has the change.
type Update struct {
	// Before says that an earlier call for the same event and step made the change: an earlier run, a copy of the event, or
	// this call, whose first answer was lost. This one changed nothing.
	Before bool
	// Inserted says that this call inserted the document.
	Inserted bool
}

// UpdateOnce changes one document of coll once for each event, however often it is called: the change, the mark that it was made, and the
// events that it brings about are one write to the document. No transaction is needed, and no claim: frozen runs, copies that run at the same
// time and repeats after a crash find the mark, and change nothing. ctx is that of the handler, unless UpdateOptions.Key says which event this is for.
//
// The filter pins the document by equality at its top level: by _id, or by all fields of a unique index. It may
// ask for more besides. The update has operators ($set, $inc, $push …) or is a pipeline of $set, $addFields and $unset; it may be an empty
// document, for the mark and the events alone. It may change neither the reserved field, _onceish, nor what the filter pins.
//
// A run that changes a document twice needs UpdateOptions.Step, and is refused with ErrStep otherwise. When no document
// is as the filter asks, and the change was not made before, the error is ErrNoMatch. At the bound of the marks it is ErrRingFull. After any other error
// it is not known whether the change was made; the call may be repeated.
//
// The mark lives in the document: whoever deletes or replaces that, or the reserved field, forgets it. What the store keeps its concerns for holds here
// too: the write has Options.WriteConcern, and a change is only said to be made before if a majority has it. It is one round trip, two where
// the change was made before, and a few more when marks are pruned, each 100 changes or more. A transaction in ctx is refused.
func (s *Store) UpdateOnce(ctx context.Context, coll *driver.Collection, filter, update any, o *UpdateOptions) (Update, error) {
	if coll == nil {
		return Update{}, errors.New("dedupe/mongo: update once: the collection is nil")
	}
	in := placeOf(coll)
	c, err := s.newChange(ctx, coll, filter, update, o)
	if err != nil {
		return Update{}, fmt.Errorf("dedupe/mongo: update once in %v: %w", in, err)
	}
	u, err := c.inRun(ctx)
	if err != nil {
		return Update{}, fmt.Errorf("dedupe/mongo: update once in %v: %w", in, err)
	}
	return u, nil
}

// inRun makes the change unless the run in ctx, if it is one for this event, has made one like it: a mark of its own would stop it silently.
func (c *once) inRun(ctx context.Context) (Update, error) {
	run := dedupe.RunFrom(ctx)
	if run == nil || run.Key() != c.o.Key {
		return c.apply(ctx)
	}
	if !run.Begin(c.effect()) {
		return Update{}, ErrStep
	}
	u, err := c.apply(ctx)
	if err != nil {
		run.Failed(c.effect())
	}
	return u, err
}

// once is one call of UpdateOnce.
type once struct {
	store  *Store
	target *target
	form   *form
	o      UpdateOptions
	mark   bson.Binary
	// own writes and reads in the user's collection; acked reads what a majority has.
	own, acked *driver.Collection
}

func (s *Store) newChange(ctx context.Context, coll *driver.Collection, filter, update any, o *UpdateOptions) (*once, error) {
	if sess := driver.SessionFromContext(ctx); sess != nil && sess.TransactionRunning() {
		return nil, errors.New("ctx carries a transaction, and the change would not be part of it: use the collection itself, for the transaction has the mark")
	}
	opts, err := o.withDefaults(dedupe.RunFrom(ctx))
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.call(ctx)
	defer cancel()
	t, err := s.aim(ctx, placeOf(coll), filter)
	if err != nil {
		return nil, err
	}
	f, err := newForm(update, t)
	if err != nil {
		return nil, err
	}
	concerns := options.Collection().SetReadPreference(readpref.Primary()).SetWriteConcern(s.concern)
	return &once{
		store: s, target: t, form: f, o: opts, mark: ledger.Mark(opts.Key, opts.Step),
		own:   coll.Clone(concerns, options.Collection().SetReadConcern(readconcern.Local())),
		acked: coll.Clone(concerns, options.Collection().SetReadConcern(readconcern.Majority())),
	}, nil
}

// effect names the change among those of a run.
func (c *once) effect() string { return "mongo\x00" + c.target.name + "\x00" + c.o.Step }

// apply makes the change, or finds it made.
func (c *once) apply(ctx context.Context) (Update, error) {
	ctx, cancel := c.store.call(ctx)
	defer cancel()
	update, err := c.update(ctx)
	if err != nil {
		return Update{}, err
	}
	filter, lost := c.filter(), 0
	for try := range updateTries {
		res, err := c.own.UpdateOne(ctx, filter, update, c.options())
		switch {
		case err == nil && res.MatchedCount+res.UpsertedCount > 0:
			if len(c.o.Publish) > 0 {
				c.store.waiting()
			}
			return Update{Inserted: res.UpsertedCount > 0}, nil
		case err != nil && !(c.o.Upsert && duplicate(err)):
			c.store.clock.Distrust()
			return Update{}, c.explain(err)
		case err != nil:
			lost++
		default:
			lost = 0
		}
		before, again := c.missed(ctx)
		if before || again != nil && !errors.Is(again, errLostRace) {
			return Update{Before: before}, again
		}
		if lost > raceTries {
			return Update{}, fmt.Errorf("a document with another _id is in the way, or this one comes and goes: %w", err)
		}
		if again != nil {
			if err := mongoserver.Pause(ctx, min(try, 5)); err != nil {
				return Update{}, err
			}
		}
	}
	return Update{}, fmt.Errorf("the document was changed by others %d times in between; ask again", updateTries)
}

// update is the whole of what is written.
func (c *once) update(ctx context.Context) (any, error) {
	at, err := c.store.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	events := make(bson.A, len(c.o.Publish))
	for i := range c.o.Publish {
		e := c.o.Publish[i]
		if e.ID == "" {
			e.ID = ledger.EventID(c.o.Key, c.o.Step, c.target.name, i)
		}
		if events[i], err = ledger.NewEvent(&e, at.Time); err != nil {
			return nil, fmt.Errorf("event %d of %d in UpdateOptions.Publish: %w", i+1, len(events), err)
		}
	}
	if len(events) > 0 {
		if err := c.store.register(ctx, c.own); err != nil {
			return nil, err
		}
	}
	return c.form.with(ledger.NewEntry(c.mark, keyID(c.o.Key), at.Until(c.o.TTL)), events), nil
}

// filter is the caller's, of a document that has no such mark, and room for one.
func (c *once) filter() bson.D {
	return append(c.target.filter[:len(c.target.filter):len(c.target.filter)],
		field(ledger.Marks, bson.D{field("$ne", c.mark)}),
		field(ledger.Since, bson.D{field("$not", bson.D{field("$gte", c.o.room())})}))
}

func (c *once) options() *options.UpdateOneOptionsBuilder {
	o := options.UpdateOne().SetUpsert(c.o.Upsert)
	if len(c.o.ArrayFilters) > 0 {
		o.SetArrayFilters(c.o.ArrayFilters)
	}
	return o
}

// duplicate tells whether an upsert lost a race, or found the document there and not as it was asked for.
func duplicate(err error) bool {
	var we driver.WriteException
	if errors.As(err, &we) {
		return we.WriteConcernError == nil && len(we.WriteErrors) == 1 && mongoserver.Duplicate(we.WriteErrors[0])
	}
	var ce driver.CommandError
	return errors.As(err, &ce) && mongoserver.Duplicate(driver.WriteError{Code: int(ce.Code), Message: ce.Message})
}

// explain adds what to try to a server's answer.
func (c *once) explain(err error) error {
	var se driver.ServerError
	if errors.As(err, &se) && (se.HasErrorCode(10334) || se.HasErrorCode(17419) || se.HasErrorCode(17420)) {
		return fmt.Errorf("the document, of which up to %d marks and the events that wait are a part, is too large for the server: %w", c.o.MaxApplied, err)
	}
	return err
}
