package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// patience is longer than any call takes on a machine that has much else to do: what ends by
// it has failed.
const patience = 30 * time.Second

// span is the lease of a transaction that takes as long as it takes.
const span = 2 * patience

// ledger is a store with transactions, and a collection for effects. The client's own concerns are
// the weakest there are.
type ledger struct {
	*testing.T
	set     *mongowire.FakeReplicaSet
	store   *mongodedupe.Store
	effects *driver.Collection
	rows    *driver.Collection // the store's own, past the locks of transactions
	sent    *recorder
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{T: t, set: mongowire.NewFakeReplicaSet(t, mongotest.URI(t)), sent: &recorder{}}
	db := mongotest.Database(t)
	l.rows = db.Collection("dedupe")
	client := connect(t, options.Client().ApplyURI(l.set.URI()).SetMonitor(l.sent.monitor()).
		SetWriteConcern(writeconcern.W1()).SetReadConcern(readconcern.Available()).SetReadPreference(readpref.Nearest()))
	var err error
	if l.store, err = mongodedupe.New(t.Context(), client.Database(db.Name()).Collection("dedupe"), &mongodedupe.Options{Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	l.effects = client.Database(db.Name()).Collection("effects")
	l.sent.take()
	return l
}

func (l *ledger) claim(id string) dedupe.Claim {
	l.Helper()
	r := request(id, 4*patience)
	c := claimOne(l.T, l.store, r)
	if c.State != dedupe.Fresh {
		l.Fatalf("claim: %+v", c)
	}
	l.sent.take()
	return c
}

// effect is a handler that writes one document.
func (l *ledger) effect(ctx context.Context) error {
	_, err := l.effects.InsertOne(ctx, bson.D{{Key: "amount", Value: 5}})
	return err
}

// holds checks the state of a key, and how many effects there are.
func (l *ledger) holds(c dedupe.Claim, state dedupe.State, effects int64) {
	l.Helper()
	rs, err := l.store.Seen(l.Context(), []dedupe.Key{c.Key})
	if err != nil || rs[0].State != state {
		l.Errorf("the key is %v, %v; want %v", rs, err, state)
	}
	if n, err := l.effects.CountDocuments(l.Context(), bson.D{}); err != nil || n != effects {
		l.Errorf("%d effects, %v; want %d", n, err, effects)
	}
	if n := l.set.Pending(); n != 0 {
		l.Errorf("%d transactions are left open", n)
	}
}

// The mark and what the function writes are committed together, and a repeat finds them.
func TestTransact(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	during := dedupe.Done
	err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		if rs, err := l.store.Seen(ctx, []dedupe.Key{c.Key}); err == nil {
			during = rs[0].State
		}
		return l.effect(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if during != dedupe.Held {
		t.Errorf("before the commit the key is %v, want held", during)
	}
	l.holds(c, dedupe.Done, 1)
	if err := l.store.Transact(t.Context(), c, span, time.Hour, l.effect); err != nil {
		t.Errorf("the repeat: %v", err)
	}
	l.holds(c, dedupe.Done, 1)
}

// Every command of a transaction carries its number, the first one starts it, and the concerns are
// majority whatever the client's.
func TestTransactCommands(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	if err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		return errors.Join(l.effect(ctx), l.effect(ctx))
	}); err != nil {
		t.Fatal(err)
	}
	sent := l.sent.take()
	if got, want := names(sent), []string{"update", "update", "insert", "insert", "commitTransaction"}; !equal(got, want) {
		t.Fatalf("sent %v, want %v", got, want)
	}
	if renewal := sent[0]; !renewal.Lookup("autocommit").IsZero() || !strings.Contains(renewal.String(), "session") {
		t.Errorf("the claim is renewed by %v", renewal)
	}
	sent = sent[1:]
	var session bson.RawValue
	for i, cmd := range sent {
		lsid, number := cmd.Lookup("lsid"), cmd.Lookup("txnNumber")
		if i == 0 {
			session = lsid
		}
		if lsid.IsZero() || !lsid.Equal(session) || number.IsZero() || !number.Equal(sent[0].Lookup("txnNumber")) {
			t.Errorf("%d is of session %v, number %v: %v", i, lsid, number, cmd)
		}
		if auto, is := cmd.Lookup("autocommit").BooleanOK(); !is || auto {
			t.Errorf("%d commits by itself: %v", i, cmd)
		}
		if starts := !cmd.Lookup("startTransaction").IsZero(); starts != (i == 0) {
			t.Errorf("%d: startTransaction is %v", i, starts)
		}
		if level, _ := cmd.Lookup("readConcern", "level").StringValueOK(); (level == "majority") != (i == 0) {
			t.Errorf("%d: read concern %q", i, level)
		}
		if w, _ := cmd.Lookup("writeConcern", "w").StringValueOK(); (w == "majority") != (i == 3) {
			t.Errorf("%d: write concern %q", i, w)
		}
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// An error of the function aborts, and comes back as it is.
func TestTransactFails(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	mine := errors.New("mine")
	runs := 0
	if err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		runs++
		return errors.Join(l.effect(ctx), mine)
	}); !errors.Is(err, mine) || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
	l.holds(c, dedupe.Held, 0)
	if errs, err := l.store.Settle(t.Context(), []dedupe.Settlement{{Claim: c, Outcome: dedupe.Failed, TTL: time.Hour}}); err != nil || errs[0] != nil {
		t.Errorf("the claim is not as it was: %v, %v", errs, err)
	}
}

// A panic of the function aborts, and goes on.
func TestTransactPanics(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
			_ = l.effect(ctx)
			panic("mine")
		})
	}()
	l.holds(c, dedupe.Held, 0)
}

// A claim that is another's stops the transaction before the function runs.
func TestTransactSuperseded(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	stale := c
	stale.Nonce = "other"
	gone := dedupe.Claim{Key: dedupe.Key{ID: "gone"}, Nonce: "n"}
	for _, c := range []dedupe.Claim{stale, gone} {
		if err := l.store.Transact(t.Context(), c, span, time.Hour, func(context.Context) error {
			t.Error("the function ran")
			return nil
		}); !errors.Is(err, dedupe.ErrSuperseded) {
			t.Errorf("%v, want superseded", err)
		}
	}
	l.holds(c, dedupe.Held, 0)
}

// What a server gives up is run again, in a transaction of its own, also when the function hides
// the error and the commit tells.
func TestTransactRerun(t *testing.T) {
	t.Parallel()
	conflict := mongowire.LabelledFailure(112, "WriteConflict", "TransientTransactionError")
	for name, c := range map[string]struct {
		command string
		hide    bool
		reply   bson.D
		runs    int
	}{
		"first statement": {"update", false, conflict, 1},
		"function":        {"insert", false, conflict, 2},
		"swallowed":       {"insert", true, conflict, 2},
		"commit":          {"commitTransaction", false, mongowire.Gone(), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			claim := l.claim("a")
			l.set.On(func(command string, before int) *mongowire.Turn {
				if command != c.command || before > 0 {
					return nil
				}
				return &mongowire.Turn{GiveUp: true, Reply: c.reply}
			})
			runs := 0
			err := l.store.Transact(t.Context(), claim, span, time.Hour, func(ctx context.Context) error {
				runs++
				if err := l.effect(ctx); !c.hide {
					return err
				}
				return nil
			})
			if err != nil || runs != c.runs {
				t.Errorf("%v after %d runs, want %d", err, runs, c.runs)
			}
			l.holds(claim, dedupe.Done, 1)
		})
	}
}

// A function that hides the error by which the server ended its transaction is not run for ever,
// and the reason says so: it is told from one failover by its repetition, not by time.
func TestTransactSwallows(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	if _, err := l.effects.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "there"}}); err != nil {
		t.Fatal(err)
	}
	c := l.claim("a")
	runs := 0
	err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		runs++
		if _, err := l.effects.InsertOne(ctx, bson.D{{Key: "_id", Value: "there"}}); !driver.IsDuplicateKeyError(err) {
			t.Errorf("%v, want a duplicate key", err)
		}
		return nil
	})
	if !errors.Is(err, dedupe.ErrTransactionEnded) || runs != 3 || !strings.Contains(err.Error(), "duplicate key") {
		t.Errorf("%v after %d runs, want the third to be the last", err, runs)
	}
	l.holds(c, dedupe.Held, 1)
}

// A duplicate key that the function returns is its own error, and names the collection and the key.
func TestTransactDuplicateKey(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	if _, err := l.effects.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "there"}}); err != nil {
		t.Fatal(err)
	}
	c := l.claim("a")
	runs := 0
	err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		runs++
		_, err := l.effects.InsertOne(ctx, bson.D{{Key: "_id", Value: "there"}})
		return err
	})
	if !driver.IsDuplicateKeyError(err) || errors.Is(err, dedupe.ErrTransactionAborted) || runs != 1 || !strings.Contains(err.Error(), ".effects") {
		t.Errorf("%v after %d runs", err, runs)
	}
	l.holds(c, dedupe.Held, 1)
}

// A function that ends its transaction itself is noticed, whatever it returns: what it aborted is
// no success, and what it committed is done.
func TestTransactEndedByFunction(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		end      func(ctx context.Context, s *driver.Session) error
		returned error
		early    bool
		state    dedupe.State
		effects  int64
	}{
		"aborted":              {abort, nil, false, dedupe.Held, 1}, // written after the abort, outside of it
		"aborted, and failed":  {abort, mine, false, dedupe.Held, 1},
		"committed":            {commit, nil, true, dedupe.Done, 2},
		"committed and failed": {commit, mine, true, dedupe.Done, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			claim := l.claim("a")
			runs := 0
			err := l.store.Transact(t.Context(), claim, span, time.Hour, func(ctx context.Context) error {
				runs++
				err := errors.Join(l.effect(ctx), c.end(ctx, driver.SessionFromContext(ctx)), l.effect(ctx))
				return errors.Join(err, c.returned)
			})
			if !errors.Is(err, dedupe.ErrTransactionEnded) || errors.Is(err, dedupe.ErrCommittedEarly) != c.early || runs != 1 {
				t.Errorf("%v after %d runs", err, runs)
			}
			if c.returned != nil && !errors.Is(err, c.returned) {
				t.Errorf("%v hides what the function returned", err)
			}
			l.holds(claim, c.state, c.effects)
		})
	}
}

func abort(ctx context.Context, s *driver.Session) error { return s.AbortTransaction(ctx) }

func commit(ctx context.Context, s *driver.Session) error { return s.CommitTransaction(ctx) }

// A transaction that meets the lock of another one is run again a few times, and then given back:
// it does not wait for whoever may be dead. The reason says what it met.
func TestTransactConflictIsGivenBack(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	if _, err := l.effects.InsertOne(t.Context(), bson.D{{Key: "_id", Value: "sum"}}); err != nil {
		t.Fatal(err)
	}
	add := func(ctx context.Context) error {
		_, err := l.effects.UpdateByID(ctx, "sum", bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: 1}}}})
		return err
	}
	first, second := l.claim("a"), l.claim("b")
	runs := 0
	if err := l.store.Transact(t.Context(), first, span, time.Hour, func(ctx context.Context) error {
		if err := add(ctx); err != nil {
			return err
		}
		err := l.store.Transact(driver.NewSessionContext(ctx, nil), second, span, time.Hour, func(ctx context.Context) error {
			runs++
			return add(ctx)
		})
		if !errors.Is(err, dedupe.ErrTransactionAborted) || !strings.Contains(err.Error(), "write conflict") || runs < 2 || runs > 5 {
			t.Errorf("%v after %d runs", err, runs)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := l.store.Transact(t.Context(), second, span, time.Hour, add); err != nil {
		t.Errorf("once the lock was free: %v", err)
	}
	l.holds(second, dedupe.Done, 1)
	var sum struct{ N int }
	if err := l.effects.FindOne(t.Context(), bson.D{}).Decode(&sum); err != nil || sum.N != 2 {
		t.Errorf("%d, %v; want both", sum.N, err)
	}
}

// A run that took long is not repeated in its slot when it conflicts in the end.
func TestTransactSlowConflict(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	l.set.On(func(command string, _ int) *mongowire.Turn {
		if command == "insert" {
			return &mongowire.Turn{GiveUp: true, Reply: mongowire.LabelledFailure(24, "LockTimeout", "TransientTransactionError")}
		}
		return nil
	})
	runs := 0
	err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		runs++
		time.Sleep(1100 * time.Millisecond) // the work
		return l.effect(ctx)
	})
	if !errors.Is(err, dedupe.ErrTransactionAborted) || runs != 1 || !strings.Contains(err.Error(), "LockTimeout") {
		t.Errorf("%v after %d runs", err, runs)
	}
	l.holds(c, dedupe.Held, 0)
}

// A context that ends before the commit aborts, whatever the function returns; one that ends during
// the commit changes nothing.
func TestTransactCancelled(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := l.store.Transact(ctx, c, span, time.Hour, func(ctx context.Context) error {
		err := l.effect(ctx)
		cancel(mine)
		return err
	}); !errors.Is(err, mine) {
		t.Errorf("%v, want the cause", err)
	}
	l.holds(c, dedupe.Held, 0)
	ctx, cancel = context.WithCancelCause(t.Context())
	l.set.On(func(command string, _ int) *mongowire.Turn {
		if command == "commitTransaction" {
			cancel(mine)
		}
		return nil
	})
	if err := l.store.Transact(ctx, c, span, time.Hour, l.effect); err != nil {
		t.Errorf("cut off: %v", err)
	}
	l.holds(c, dedupe.Done, 1)
}

// The function's time ends with the lease, which has to be positive, and shorter than the TTL.
func TestTransactLimit(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	const short = 2 * time.Second // until then the function has to be run
	if err := l.store.Transact(t.Context(), c, short, time.Hour, func(ctx context.Context) error {
		err := l.effect(ctx)
		<-ctx.Done()
		return err
	}); err == nil {
		t.Error("committed after its time")
	}
	l.holds(c, dedupe.Held, 0)
	for _, lease := range []time.Duration{0, -1, time.Hour} {
		if err := l.store.Transact(t.Context(), c, lease, time.Hour, l.effect); err == nil {
			t.Errorf("ran with a lease of %v", lease)
		}
	}
}
