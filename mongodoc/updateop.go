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

// updateOp is one call of UpdateOnce.
type updateOp struct {
	updater   *Updater
	target    *filterTarget
	updateDoc *updateDoc
	o         UpdateOptions
	mark      bson.Binary
	// own is the user's collection, as it is written, and read as the primary has it.
	own *driver.Collection
}

func (u *Updater) newUpdateOp(ctx context.Context, coll *driver.Collection, filter, update any, o *UpdateOptions) (*updateOp, error) {
	if sess := driver.SessionFromContext(ctx); sess != nil && sess.TransactionRunning() {
		return nil, errors.New("ctx carries a transaction, and the change would not be part of it: use the collection itself, for the transaction has the mark")
	}
	opts, err := o.withDefaults(dedupe.RunFrom(ctx))
	if err != nil {
		return nil, err
	}
	t, err := u.resolveTarget(ctx, namespaceOf(coll), filter)
	if err != nil {
		return nil, err
	}
	f, err := newUpdateDoc(update, t)
	if err != nil {
		return nil, err
	}
	return &updateOp{
		updater: u, target: t, updateDoc: f, o: opts, mark: ledger.Mark(opts.Key, opts.Step),
		own: coll.Clone(options.Collection().SetReadPreference(readpref.Primary()).SetWriteConcern(u.concern).SetReadConcern(readconcern.Local())),
	}, nil
}

// makeInRun makes the change unless the run in ctx, if it is one for this event, has made one like
// it: a mark of its own would stop it silently.
func (c *updateOp) makeInRun(ctx context.Context) (Update, error) {
	run := dedupe.RunFrom(ctx)
	if run == nil || run.Key() != c.o.Key {
		return c.makeChange(ctx)
	}
	if !run.Begin(c.effectName()) {
		return Update{}, ErrStep
	}
	u, err := c.makeChange(ctx)
	if err == nil && u.Before {
		err = c.madeUnderAnotherPin(ctx, run)
	}
	if err != nil {
		run.Failed(c.effectName())
		return Update{}, err
	}
	return u, nil
}

// madeUnderAnotherPin returns ErrStep if the mark that was found is this run's own: a filter may
// name one document in many ways (1 and 1.0, _id and another unique key), and only the server knows
// which of them are the same.
func (c *updateOp) madeUnderAnotherPin(ctx context.Context, run *dedupe.Run) error {
	var others bson.A
	for _, effect := range run.Begun(c.effectPrefix()) {
		if effect != c.effectName() {
			others = append(others, bson.Raw(effect[len(c.effectPrefix()):]))
		}
	}
	if len(others) == 0 {
		return nil
	}
	ctx, cancel := c.updater.boundCall(ctx)
	defer cancel()
	both := bson.D{expr.Field("$and", bson.A{c.target.uniqueFilter, bson.D{expr.Field("$or", others)}})}
	switch err := c.own.FindOne(ctx, both, options.FindOne().SetProjection(bson.D{expr.Field("_id", 1)})).Err(); {
	case err == nil:
		return ErrStep
	case !errors.Is(err, driver.ErrNoDocuments):
		return fmt.Errorf("looking whether this run has changed the document before: %w", err)
	}
	return nil
}

func (c *updateOp) majorityView() *driver.Collection {
	return c.own.Clone(options.Collection().SetReadConcern(readconcern.Majority()))
}

// effectPrefix begins the names of a run's changes with this step in this collection, and the
// pin ends them.
func (c *updateOp) effectPrefix() string {
	return fmt.Sprintf("mongo %q %q ", c.target.in.String(), c.o.Step)
}

func (c *updateOp) effectName() string { return c.effectPrefix() + string(c.target.encodedFilter()) }

func (c *updateOp) makeChange(ctx context.Context) (Update, error) {
	if len(c.o.Publish) > 0 {
		if err := c.updater.ensureRegistered(ctx, c.own); err != nil {
			return Update{}, err
		}
	}
	ctx, cancel := c.updater.boundCall(ctx)
	defer cancel()
	update, err := c.fullUpdate(ctx)
	if err != nil {
		return Update{}, err
	}
	filter, how, lost := c.fullFilter(), c.writeOptions(), 0
	for try := range updateTries {
		res, err := c.own.UpdateOne(ctx, filter, update, how)
		if err == nil && res.MatchedCount+res.UpsertedCount > 0 {
			if len(c.o.Publish) > 0 {
				c.updater.waiting()
			}
			return Update{Inserted: res.UpsertedCount > 0}, nil
		}
		before, err := c.classifyUnchanged(ctx, err, &lost)
		if before || err != nil && !errors.Is(err, errLostRace) {
			return Update{Before: before}, err
		}
		if err != nil {
			if err := mongoserver.Pause(ctx, min(try, 5)); err != nil {
				return Update{}, err
			}
		}
	}
	return Update{}, fmt.Errorf("the document was changed by others %d times in between; retry", updateTries)
}

// classifyUnchanged judges a write after which nothing is changed, as far as is known: it failed
// so, or nil: nothing matched. lost counts duplicates in a row.
func (c *updateOp) classifyUnchanged(ctx context.Context, failure error, lost *int) (before bool, err error) {
	switch {
	case failure == nil:
		*lost = 0
	case isContended(failure):
		return false, errLostRace
	case c.o.Upsert && mongoserver.DuplicateError(failure): // lost a race, or the document is there and not as it was asked for
		*lost++
	default:
		c.updater.clock.Distrust()
		return false, c.explainError(failure)
	}
	before, err = c.explainNoMatch(ctx)
	if errors.Is(err, errLostRace) && *lost > raceTries {
		err = fmt.Errorf("a document with another _id is in the way, or this one comes and goes: %w", failure)
	}
	return before, err
}

// fullUpdate returns the caller's update together with the mark and the events.
func (c *updateOp) fullUpdate(ctx context.Context) (any, error) {
	at, err := c.updater.clock.Read(ctx)
	if err != nil {
		return nil, err
	}
	events := make(bson.A, len(c.o.Publish))
	for i := range c.o.Publish {
		e := c.o.Publish[i]
		e.Headers = c.updater.headers.AddTo(ctx, e.Headers)
		if e.ID == "" {
			e.ID = ledger.EventID(c.o.Key, c.o.Step, c.target.stableName(), i)
		}
		if events[i], err = ledger.NewEvent(&e, at.Time); err != nil {
			return nil, fmt.Errorf("event %d of %d in UpdateOptions.Publish: %w", i+1, len(events), err)
		}
	}
	return c.updateDoc.withLedger(ledger.NewEntry(c.mark, c.updater.store.RowID(c.o.Key), at.Until(c.o.TTL)), events), nil
}

// fullFilter is the caller's, of a document that has no such mark, and room for one.
func (c *updateOp) fullFilter() bson.D {
	return append(slices.Clip(c.target.filter),
		expr.Field(ledger.Marks, bson.D{expr.Field("$ne", c.mark)}),
		expr.Field(ledger.Since, bson.D{expr.Field("$not", bson.D{expr.Field("$gte", c.o.pruneInterval())})}))
}

func (c *updateOp) writeOptions() *options.UpdateOneOptionsBuilder {
	o := options.UpdateOne().SetUpsert(c.o.Upsert)
	if len(c.o.ArrayFilters) > 0 {
		o.SetArrayFilters(c.o.ArrayFilters)
	}
	return o
}

// isContended reports whether the server gave the write up in favour of another one at the same
// time: of two upserts by a unique key, say.
func isContended(err error) bool {
	e, ok := errors.AsType[driver.ServerError](err)
	return ok && (e.HasErrorCode(112) || e.HasErrorMessage("deadlock detected")) // WriteConflict; DocumentDB's, of PostgreSQL
}

func (c *updateOp) explainError(err error) error {
	if mongoserver.HasCode(err, 10334, 17419, 17420) {
		return fmt.Errorf("the document, of which up to %d marks and the events that wait are a part, is too large for the server: %w", c.o.MaxApplied, err)
	}
	return err
}
