package mongo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver"
)

// What a server says of a transaction, by the label of an error.
const (
	cameToNothing = "TransientTransactionError"
	mayBeDone     = "UnknownTransactionCommitResult"
)

// errLimit is the cause of the context of a function whose time is over.
var errLimit = fmt.Errorf("the transaction's time is over: what is left of the claim's lease, at most %v", dedupe.MaxTransaction)

// Transact implements [dedupe.Transactor]. What joins the transaction goes through the store's own client, and one after the other: a
// session is not safe for concurrent use. It costs two round trips besides what fn does.
func (s *Store) Transact(ctx context.Context, c dedupe.Claim, ttl time.Duration, fn func(ctx context.Context) error) error {
	if c.HeldFor <= 0 || ttl <= 0 {
		return fmt.Errorf("dedupe/mongo: transact: the claim is held for %v and the TTL is %v; both must be positive", c.HeldFor, ttl)
	}
	began := time.Now()
	t := &transaction{store: s, claim: &c, ttl: ttl, fn: fn, end: began.Add(c.HeldFor)}
	ctx, cancel := context.WithDeadlineCause(ctx, began.Add(min(c.HeldFor, dedupe.MaxTransaction)), errLimit)
	defer cancel()
	for try := 0; ; try++ {
		again, err := t.run(ctx)
		if !again || ctx.Err() != nil || mongoserver.Pause(ctx, try+rand.IntN(2)) != nil { //nolint:gosec // two that conflict are not to come again together
			return err
		}
	}
}

// transaction is one call of Transact.
type transaction struct {
	store *Store
	claim *dedupe.Claim
	ttl   time.Duration
	fn    func(ctx context.Context) error
	end   time.Time // of the lease, after which nothing is waited for
}

// run is one transaction from its start to its end. again: it came to nothing, and may be run once more.
func (t *transaction) run(ctx context.Context) (again bool, err error) {
	sess, err := t.store.startTransaction()
	if err != nil {
		return false, t.store.failed("transact", err)
	}
	defer end(ctx, sess)
	open := true
	defer func() {
		if open { // also when fn panics
			t.store.abort(ctx, sess)
		}
	}()
	if mine, err := t.work(ctx, sess); err != nil {
		return labelled(err, cameToNothing), err
	} else if !mine {
		t.store.abort(ctx, sess)
		open = false
		return false, t.missed(ctx)
	}
	if ctx.Err() != nil {
		return false, t.store.failed("transact", context.Cause(ctx))
	}
	open = false // an abort beside a commit that may still be under way would be a race between two servers
	return t.commit(ctx, sess)
}

// work makes the mark, and runs the function. Not mine: there is no claim of ours to be marked, and the function did not run.
func (t *transaction) work(ctx context.Context, sess *driver.Session) (mine bool, err error) {
	at, err := t.store.clock.Read(driver.NewSessionContext(ctx, nil))
	if err != nil {
		return false, t.store.failed("transact", err)
	}
	ctx = driver.NewSessionContext(ctx, sess)
	if mine, err = t.mark(ctx, at); err != nil || !mine {
		return mine, err
	}
	return true, t.fn(ctx)
}

// mark is the first statement.
func (t *transaction) mark(ctx context.Context, at mongoserver.Instant) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, t.store.timeout)
	defer cancel()
	c := &change{
		ids: []string{keyID(t.claim.Key)}, owners: []string{t.claim.Nonce}, states: []string{from(dedupe.Succeeded)},
		update: update(&dedupe.Settlement{Outcome: dedupe.Succeeded, TTL: t.ttl}),
	}
	res, err := t.store.own.UpdateOne(ctx, c.filter(at), c.update, options.UpdateOne().SetHint(byID))
	if err != nil {
		return false, t.store.failed("transact", err)
	}
	return res.MatchedCount == 1, nil
}

// missed judges a transaction whose first statement found nothing: a repeat finds the claim marked.
func (t *transaction) missed(ctx context.Context) error {
	o, err := t.outcome(ctx)
	switch {
	case err != nil:
		return t.store.failed("transact", err)
	case o == committed:
		return nil
	case o == open:
		return t.store.failed("transact", errors.New("a row was not counted and yet is there, unsettled and owned; ask again"))
	}
	return t.store.failed("transact", dedupe.ErrSuperseded)
}

// startTransaction starts one whose concerns are its own: those of clients and collections do not matter in it.
func (s *Store) startTransaction() (*driver.Session, error) {
	sess, err := s.own.Database().Client().StartSession()
	if err != nil {
		return nil, err
	}
	err = sess.StartTransaction(options.Transaction().SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()).SetReadPreference(readpref.Primary()))
	if err != nil {
		sess.EndSession(context.Background())
		return nil, err
	}
	return sess, nil
}

// abort undoes a transaction. Where that is not heard, the server does it when the transaction's time is over.
func (s *Store) abort(ctx context.Context, sess *driver.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	_ = sess.AbortTransaction(ctx) // says nothing of the server's answer
}

// end gives the session back, and sends nothing: what is to be aborted was.
func end(ctx context.Context, sess *driver.Session) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	sess.EndSession(ctx)
}

func labelled(err error, label string) bool {
	e, ok := errors.AsType[driver.LabeledError](err)
	return ok && e.HasErrorLabel(label)
}
