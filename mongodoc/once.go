package mongodoc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/mongodoc/internal/ledger"
)

// updateTries bounds how often a change that missed is tried again: each time somebody
// else was quicker.
const updateTries = 100

// raceTries is how many duplicates in a row are a lost race; the next one is another
// document in the way.
const raceTries = 5

// once is one call of UpdateOnce.
type once struct {
	updater *Updater
	target  *target
	form    *form
	o       UpdateOptions
	mark    bson.Binary
	// own is the user's collection, as it is written, and read as the primary has it.
	own *driver.Collection
}

func (u *Updater) newChange(ctx context.Context, coll *driver.Collection, filter, update any, o *UpdateOptions) (*once, error) {
	if sess := driver.SessionFromContext(ctx); sess != nil && sess.TransactionRunning() {
		return nil, errors.New("ctx carries a transaction, and the change would not be part of it: use the collection itself, for the transaction has the mark")
	}
	opts, err := o.withDefaults(dedupe.RunFrom(ctx))
	if err != nil {
		return nil, err
	}
	t, err := u.aim(ctx, placeOf(coll), filter)
	if err != nil {
		return nil, err
	}
	f, err := newForm(update, t)
	if err != nil {
		return nil, err
	}
	return &once{
		updater: u, target: t, form: f, o: opts, mark: ledger.Mark(opts.Key, opts.Step),
		own: coll.Clone(options.Collection().SetReadPreference(readpref.Primary()).SetWriteConcern(u.concern).SetReadConcern(readconcern.Local())),
	}, nil
}

// inRun makes the change unless the run in ctx, if it is one for this event, has made one like it:
// a mark of its own would stop it silently.
func (c *once) inRun(ctx context.Context) (Update, error) {
	run := dedupe.RunFrom(ctx)
	if run == nil || run.Key() != c.o.Key {
		return c.apply(ctx)
	}
	if !run.Begin(c.effect()) {
		return Update{}, ErrStep
	}
	u, err := c.apply(ctx)
	if err == nil && u.Before {
		err = c.madeUnderAnotherPin(ctx, run)
	}
	if err != nil {
		run.Failed(c.effect())
		return Update{}, err
	}
	return u, nil
}

// madeUnderAnotherPin returns ErrStep if the mark that was found is this run's own: a filter may
// name one document in many ways (1 and 1.0, _id and another unique key), and only the server knows
// which of them are the same.
func (c *once) madeUnderAnotherPin(ctx context.Context, run *dedupe.Run) error {
	var others bson.A
	for _, effect := range run.Begun(c.effects()) {
		if effect != c.effect() {
			others = append(others, bson.Raw(effect[len(c.effects()):]))
		}
	}
	if len(others) == 0 {
		return nil
	}
	ctx, cancel := c.updater.call(ctx)
	defer cancel()
	both := bson.D{expr.Field("$and", bson.A{c.target.pin, bson.D{expr.Field("$or", others)}})}
	switch err := c.own.FindOne(ctx, both, options.FindOne().SetProjection(bson.D{expr.Field("_id", 1)})).Err(); {
	case err == nil:
		return ErrStep
	case !errors.Is(err, driver.ErrNoDocuments):
		return fmt.Errorf("looking whether this run has changed the document before: %w", err)
	}
	return nil
}

// acked reads what a majority has.
func (c *once) acked() *driver.Collection {
	return c.own.Clone(options.Collection().SetReadConcern(readconcern.Majority()))
}

// effects begins the names of a run's changes with this step in this collection, and the pin ends
// them.
func (c *once) effects() string { return fmt.Sprintf("mongo %q %q ", c.target.in.String(), c.o.Step) }

// effect names the change among those of a run.
func (c *once) effect() string { return c.effects() + string(c.target.pinned()) }

// apply makes the change, or finds it made.
func (c *once) apply(ctx context.Context) (Update, error) {
	if len(c.o.Publish) > 0 {
		if err := c.updater.register(ctx, c.own); err != nil {
			return Update{}, err
		}
	}
	ctx, cancel := c.updater.call(ctx)
	defer cancel()
	update, err := c.update(ctx)
	if err != nil {
		return Update{}, err
	}
	filter, how, lost := c.filter(), c.options(), 0
	for try := range updateTries {
		res, err := c.own.UpdateOne(ctx, filter, update, how)
		if err == nil && res.MatchedCount+res.UpsertedCount > 0 {
			if len(c.o.Publish) > 0 {
				c.updater.waiting()
			}
			return Update{Inserted: res.UpsertedCount > 0}, nil
		}
		before, err := c.unchanged(ctx, err, &lost)
		if before || err != nil && !errors.Is(err, errLostRace) {
			return Update{Before: before}, err
		}
		if err != nil {
			if err := mongoserver.Pause(ctx, min(try, 5)); err != nil {
				return Update{}, err
			}
		}
	}
	return Update{}, fmt.Errorf("the document was changed by others %d times in between; ask again", updateTries)
}

// unchanged judges a write after which nothing is changed, as far as is known: it failed so, or
// nil: nothing matched. lost counts duplicates in a row.
func (c *once) unchanged(ctx context.Context, failure error, lost *int) (before bool, err error) {
	switch {
	case failure == nil:
		*lost = 0
	case contended(failure):
		return false, errLostRace
	case c.o.Upsert && duplicate(failure):
		*lost++
	default:
		c.updater.clock.Distrust()
		return false, c.explain(failure)
	}
	before, err = c.missed(ctx)
	if errors.Is(err, errLostRace) && *lost > raceTries {
		err = fmt.Errorf("a document with another _id is in the way, or this one comes and goes: %w", failure)
	}
	return before, err
}

// update is the whole of what is written.
func (c *once) update(ctx context.Context) (any, error) {
	at, err := c.updater.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	events := make(bson.A, len(c.o.Publish))
	for i := range c.o.Publish {
		e := c.o.Publish[i]
		if e.ID == "" {
			e.ID = ledger.EventID(c.o.Key, c.o.Step, c.target.name(), i)
		}
		if events[i], err = ledger.NewEvent(&e, at.Time); err != nil {
			return nil, fmt.Errorf("event %d of %d in UpdateOptions.Publish: %w", i+1, len(events), err)
		}
	}
	return c.form.with(ledger.NewEntry(c.mark, c.updater.store.RowID(c.o.Key), at.Until(c.o.TTL)), events), nil
}

// filter is the caller's, of a document that has no such mark, and room for one.
func (c *once) filter() bson.D {
	return append(slices.Clip(c.target.filter),
		expr.Field(ledger.Marks, bson.D{expr.Field("$ne", c.mark)}),
		expr.Field(ledger.Since, bson.D{expr.Field("$not", bson.D{expr.Field("$gte", c.o.room())})}))
}

func (c *once) options() *options.UpdateOneOptionsBuilder {
	o := options.UpdateOne().SetUpsert(c.o.Upsert)
	if len(c.o.ArrayFilters) > 0 {
		o.SetArrayFilters(c.o.ArrayFilters)
	}
	return o
}

// duplicate reports whether an upsert lost a race, or found the document there and not as it
// was asked for.
func duplicate(err error) bool {
	if we, ok := errors.AsType[driver.WriteException](err); ok {
		return we.WriteConcernError == nil && len(we.WriteErrors) == 1 && mongoserver.Duplicate(we.WriteErrors[0])
	}
	ce, ok := errors.AsType[driver.CommandError](err)
	return ok && mongoserver.Duplicate(driver.WriteError{Code: int(ce.Code), Message: ce.Message})
}

// contended reports whether the server gave the write up in favour of another one at the same time:
// of two upserts by a unique key, say.
func contended(err error) bool {
	var se driver.ServerError
	return errors.As(err, &se) && (se.HasErrorCode(112) || se.HasErrorMessage("deadlock detected")) // WriteConflict; DocumentDB's, of PostgreSQL
}

// explain adds what to try to a server's answer.
func (c *once) explain(err error) error {
	var se driver.ServerError
	if errors.As(err, &se) && (se.HasErrorCode(10334) || se.HasErrorCode(17419) || se.HasErrorCode(17420)) {
		return fmt.Errorf("the document, of which up to %d marks and the events that wait are a part, is too large for the server: %w", c.o.MaxApplied, err)
	}
	return err
}
