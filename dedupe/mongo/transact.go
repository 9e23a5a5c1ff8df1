package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
	"github.com/onceish/onceish/internal/serverclock"
)

const (
	// maxRuns and rerunFor bound how often a transaction that conflicts is run again, and for how
	// long: whoever holds the lock may be dead, and the event can wait elsewhere than in its slot.
	maxRuns  = 5
	rerunFor = time.Second
	// maxVanished is how many commits in a row may find their transaction gone although the
	// function returned no error. A failover explains one.
	maxVanished = 3
)

// errLimit is the cause of the context of a function whose time is over.
var errLimit = fmt.Errorf("the transaction's time is over: its claim's lease, at most %v", dedupe.MaxTransaction)

// Transact implements [dedupe.Transactor]. What joins the transaction goes through the store's own
// client, and one after the other: a session is not safe for concurrent use. It costs three round
// trips besides what fn does.
func (s *Store) Transact(ctx context.Context, c dedupe.Claim, lease, ttl time.Duration, fn func(ctx context.Context) error) error {
	if lease <= 0 || ttl <= lease {
		return fmt.Errorf("dedupe/mongo: transact: the lease is %v and the TTL %v; both must be positive, and the TTL the longer one", lease, ttl)
	}
	began := time.Now()
	ctx, cancel := context.WithDeadlineCause(ctx, began.Add(min(lease, dedupe.MaxTransaction)), errLimit)
	defer cancel()
	sess, err := s.own.Database().Client().StartSession()
	if err != nil {
		return s.callFailed("transact", err)
	}
	defer endSession(ctx, sess)
	t := &claimTransaction{store: s, session: sess, claim: &c, lease: lease, ttl: ttl, fn: fn, end: began.Add(lease)}
	if mine, err := t.openClaim(ctx); err != nil {
		return err
	} else if !mine {
		return t.classifyMissed(ctx)
	}
	return t.runUntilOver(ctx)
}

// claimTransaction is one call of Transact.
type claimTransaction struct {
	store      *Store
	session    *driver.Session
	claim      *dedupe.Claim
	lease, ttl time.Duration
	fn         func(ctx context.Context) error
	end        time.Time // of the lease, after which nothing is waited for
	vanished   int       // commits in a row that found no transaction
}

// openClaim renews the claim for the whole run, and writes into its row which session is about to
// lock it: whoever takes over later can end that session. It is no part of the transaction, and
// need not outlive the primary, for the transaction does not either.
func (t *claimTransaction) openClaim(ctx context.Context) (mine bool, err error) {
	ctx, cancel := t.store.boundCall(ctx)
	defer cancel()
	at, err := t.store.clock.Read(ctx)
	if err != nil {
		return false, t.store.callFailed("renew the claim", err)
	}
	c := t.claimChange(bson.A{expr.Set(
		expr.Field("lease_until", expr.NowPlus(t.lease)), expr.Field("expireAt", expr.NowPlus(t.ttl)), expr.Field("session", expr.Literal(t.session.ID())),
	)})
	quick := t.store.own.Clone(options.Collection().SetWriteConcern(writeconcern.W1()))
	res, err := quick.UpdateOne(ctx, c.rowFilter(at), c.update, options.UpdateOne().SetHint(expr.ByID()))
	if err != nil {
		return false, t.store.callFailed("renew the claim", err)
	}
	return res.MatchedCount == 1, nil
}

// claimChange is one of the claim, while it is ours and unmarked.
func (t *claimTransaction) claimChange(update bson.A) *rowChange {
	return &rowChange{
		ids: []string{keyID(t.claim.Key)}, owners: []string{t.claim.Nonce}, phases: []dedupe.Phase{dedupe.Succeeded.From()}, update: update,
	}
}

// runUntilOver runs the transaction until it is committed or fails, or has come to
// nothing too often.
func (t *claimTransaction) runUntilOver(ctx context.Context) error {
	began := time.Now()
	for runs := 1; ; runs++ {
		again, err := t.runOnce(ctx)
		took := time.Since(began)
		switch {
		case !again || ctx.Err() != nil:
			return err
		case t.vanished >= maxVanished:
			return t.store.nameCall("transact", fmt.Errorf("%w: the server had ended it %d times in a row, and the function returned no error. "+
				"It hides one of the driver's, such as a duplicate key or a write conflict, or takes longer than transactionLifetimeLimitSeconds; "+
				"return every error of the driver: %w", dedupe.ErrTransactionEnded, t.vanished, err))
		case t.vanished == 0 && (runs == maxRuns || took >= rerunFor):
			return t.store.nameCall("transact", fmt.Errorf("%w, %d times in %v, the last time for %s: %w",
				dedupe.ErrTransactionAborted, runs, took.Round(time.Millisecond), reasonOf(err), err))
		}
		if mongoserver.Pause(ctx, runs+rand.IntN(2)) != nil { //nolint:gosec // two that conflict are not to be retried together
			return err
		}
	}
}

// runOnce is one transaction from its start to its end. again: it came to nothing, and may be
// run once more.
func (t *claimTransaction) runOnce(ctx context.Context) (again bool, err error) {
	if err := startTransaction(t.session); err != nil {
		return false, t.store.callFailed("transact", err)
	}
	open := true
	defer func() {
		if open { // also when fn panics
			t.store.abortTransaction(ctx, t.session)
		}
	}()
	mine, err := t.markAndRun(ctx)
	switch {
	case !t.session.TransactionRunning():
		open = false
		return false, t.endedByFunction(ctx, err)
	case err != nil:
		t.vanished = 0
		return hasLabel(err, cameToNothing), err
	case !mine:
		open = false
		t.store.abortTransaction(ctx, t.session)
		return false, t.classifyMissed(ctx)
	case ctx.Err() != nil:
		return false, t.store.nameCall("transact", context.Cause(ctx))
	}
	open = false // an abort beside a commit that may still be under way would be a race between two servers
	return t.commitUntilKnown(ctx)
}

// markAndRun makes the mark, and runs the function. Not mine: there is no claim of ours to be
// marked, and the function did not run.
func (t *claimTransaction) markAndRun(ctx context.Context) (mine bool, err error) {
	at, err := t.store.clock.Read(driver.NewSessionContext(ctx, nil))
	if err != nil {
		return false, t.store.callFailed("mark", err)
	}
	ctx = driver.NewSessionContext(ctx, t.session)
	if mine, err = t.writeMark(ctx, at); err != nil || !mine {
		return mine, err
	}
	return true, t.fn(ctx)
}

// writeMark is the first statement.
func (t *claimTransaction) writeMark(ctx context.Context, at serverclock.Instant) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, t.store.timeout)
	defer cancel()
	c := t.claimChange(append(settleUpdate(&dedupe.Settlement{Outcome: dedupe.Succeeded, TTL: t.ttl}), expr.Unset("session")))
	res, err := t.store.own.UpdateOne(ctx, c.rowFilter(at), c.update, options.UpdateOne().SetHint(expr.ByID()))
	if err != nil {
		return false, t.store.callFailed("mark", err)
	}
	return res.MatchedCount == 1, nil
}

// classifyMissed judges a transaction whose claim was not found to be marked: a repeat
// finds the mark.
func (t *claimTransaction) classifyMissed(ctx context.Context) error {
	o, err := t.readOutcome(ctx)
	switch {
	case err != nil:
		return t.store.callFailed("transact", err)
	case o == commitDone:
		return nil
	case o == commitOpen:
		return t.store.callFailed("transact", errors.New("a row was not counted and yet is there, unsettled and owned; retry"))
	}
	return t.store.nameCall("transact", dedupe.ErrSuperseded)
}

// endedByFunction judges a transaction that its function has ended, whatever that returned.
func (t *claimTransaction) endedByFunction(ctx context.Context, returned error) error {
	how := errors.New("the function aborted it")
	switch o, err := t.readOutcome(ctx); {
	case err != nil:
		how = fmt.Errorf("the function ended it, and it is not known how: %w", err)
	case o == commitSuperseded:
		return t.store.nameCall("transact", errors.Join(dedupe.ErrSuperseded, returned))
	case o == commitDone:
		how = dedupe.ErrCommittedEarly
	}
	err := fmt.Errorf("%w: %w; leave its commit and its abort to the store, and return an error to have it aborted", dedupe.ErrTransactionEnded, how)
	return t.store.nameCall("transact", errors.Join(err, returned))
}
