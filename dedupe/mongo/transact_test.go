package mongo_test

import (
	"context"
	"errors"
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
	"github.com/onceish/onceish/internal/mongotest"
	"github.com/onceish/onceish/internal/mongowire"
)

// patience is longer than any call takes on a machine that has much else to do: what ends by it has failed.
const patience = 30 * time.Second

// ledger is a store with transactions, and a collection for effects. The client's own concerns are the weakest there are.
type ledger struct {
	*testing.T
	set     *mongowire.Set
	store   *mongodedupe.Store
	effects *driver.Collection
	sent    *recorder
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{T: t, set: mongowire.NewSet(t, mongotest.URI(t)), sent: &recorder{}}
	db := mongotest.Database(t)
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
	err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
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
	if err := l.store.Transact(t.Context(), c, time.Hour, l.effect); err != nil {
		t.Errorf("the repeat: %v", err)
	}
	l.holds(c, dedupe.Done, 1)
}

// Every command of a transaction carries its number, the first one starts it, and the concerns are majority whatever the client's.
func TestTransactCommands(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	if err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
		return errors.Join(l.effect(ctx), l.effect(ctx))
	}); err != nil {
		t.Fatal(err)
	}
	sent := l.sent.take()
	if got, want := names(sent), []string{"update", "insert", "insert", "commitTransaction"}; !equal(got, want) {
		t.Fatalf("sent %v, want %v", got, want)
	}
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
	if err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
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
		_ = l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
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
	gone := dedupe.Claim{Key: dedupe.Key{ID: "gone"}, Nonce: "n", HeldFor: time.Minute}
	for _, c := range []dedupe.Claim{stale, gone} {
		if err := l.store.Transact(t.Context(), c, time.Hour, func(context.Context) error {
			t.Error("the function ran")
			return nil
		}); !errors.Is(err, dedupe.ErrSuperseded) {
			t.Errorf("%v, want superseded", err)
		}
	}
	l.holds(c, dedupe.Held, 0)
}

// What a server gives up is run again, in a transaction of its own, also when the function hides the error and the commit tells.
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
			err := l.store.Transact(t.Context(), claim, time.Hour, func(ctx context.Context) error {
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

// A function that hides what happened does not run for ever: until the lease is over, which is long enough for more than one run.
func TestTransactSwallows(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	c.HeldFor = 3 * time.Second
	l.set.On(func(command string, _ int) *mongowire.Turn {
		if command != "insert" {
			return nil
		}
		return &mongowire.Turn{GiveUp: true, Reply: mongowire.Gone()}
	})
	runs, began := 0, time.Now()
	err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
		runs++
		_ = l.effect(ctx)
		return nil
	})
	if err == nil || runs < 2 || time.Since(began) > c.HeldFor+patience {
		t.Errorf("%v after %d runs and %v", err, runs, time.Since(began))
	}
	l.set.Forget() // the end may have cut a statement off, which is begun after its abort
	l.holds(c, dedupe.Held, 0)
}

// A commit that was not answered is found out: sent again, or seen by its mark.
func TestTransactCommitUnanswered(t *testing.T) {
	t.Parallel()
	unknown := mongowire.LabelledFailure(91, "ShutdownInProgress", "UnknownTransactionCommitResult", "RetryableWriteError")
	for name, c := range map[string]struct {
		times int
		turn  mongowire.Turn
	}{
		"lost, cut":         {1, mongowire.Turn{Cut: true}},
		"applied, cut":      {1, mongowire.Turn{Apply: true, Cut: true}},
		"lost, unknown":     {4, mongowire.Turn{Reply: unknown}},
		"applied, unknown":  {1 << 30, mongowire.Turn{Apply: true, Reply: unknown}},
		"applied, refused":  {1 << 30, mongowire.Turn{Apply: true, Reply: mongowire.Failure(1, "InternalError")}},
		"applied, time-out": {1 << 30, mongowire.Turn{Apply: true, Reply: mongowire.Failure(50, "MaxTimeMSExpired")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			claim := l.claim("a")
			l.set.On(func(command string, before int) *mongowire.Turn {
				if command == "commitTransaction" && before < c.times {
					return &c.turn
				}
				return nil
			})
			runs := 0
			err := l.store.Transact(t.Context(), claim, time.Hour, func(ctx context.Context) error {
				runs++
				return l.effect(ctx)
			})
			if err != nil || runs != 1 {
				t.Errorf("%v after %d runs", err, runs)
			}
			l.holds(claim, dedupe.Done, 1)
		})
	}
}

// What cannot be found out before the lease is over is said to be unknown: not done, not failed, and not aborted.
func TestTransactCommitUnknown(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]bson.D{
		"unknown":  mongowire.LabelledFailure(91, "ShutdownInProgress", "UnknownTransactionCommitResult"),
		"time-out": mongowire.Failure(50, "MaxTimeMSExpired"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t)
			c := l.claim("a")
			c.HeldFor = 4 * time.Second // until then the commit has to be sent
			l.set.On(func(command string, _ int) *mongowire.Turn {
				switch command {
				case "commitTransaction":
					return &mongowire.Turn{Reply: reply}
				case "abortTransaction":
					t.Error("aborted beside a commit")
				}
				return nil
			})
			err := l.store.Transact(t.Context(), c, time.Hour, l.effect)
			if !errors.Is(err, dedupe.ErrCommitUnknown) {
				t.Errorf("%v, want unknown", err)
			}
			l.set.Forget()
			l.holds(c, dedupe.Held, 0)
		})
	}
}

// What a server refuses to commit is neither run again nor done.
func TestTransactCommitRefused(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	l.set.On(func(command string, _ int) *mongowire.Turn {
		if command == "commitTransaction" {
			return &mongowire.Turn{GiveUp: true, Reply: mongowire.Failure(225, "TransactionTooLarge")}
		}
		return nil
	})
	runs := 0
	err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
		runs++
		return l.effect(ctx)
	})
	if e, is := errors.AsType[driver.CommandError](err); !is || e.Code != 225 || runs != 1 || errors.Is(err, dedupe.ErrCommitUnknown) {
		t.Errorf("%v after %d runs", err, runs)
	}
	l.holds(c, dedupe.Held, 0)
}

// A context that ends before the commit aborts, whatever the function returns; one that ends during the commit changes nothing.
func TestTransactCancelled(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := l.store.Transact(ctx, c, time.Hour, func(ctx context.Context) error {
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
	if err := l.store.Transact(ctx, c, time.Hour, l.effect); err != nil {
		t.Errorf("cut off: %v", err)
	}
	l.holds(c, dedupe.Done, 1)
}

// The function's time ends with the claim's lease.
func TestTransactLimit(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	c := l.claim("a")
	c.HeldFor = 2 * time.Second // until then the function has to be run
	if err := l.store.Transact(t.Context(), c, time.Hour, func(ctx context.Context) error {
		err := l.effect(ctx)
		<-ctx.Done()
		return err
	}); err == nil {
		t.Error("committed after its time")
	}
	l.holds(c, dedupe.Held, 0)
	for _, held := range []time.Duration{0, -1} {
		c.HeldFor = held
		if err := l.store.Transact(t.Context(), c, time.Hour, l.effect); err == nil {
			t.Errorf("ran with %v left", held)
		}
	}
	c.HeldFor = time.Minute
	if err := l.store.Transact(t.Context(), c, 0, l.effect); err == nil {
		t.Error("marked for no time")
	}
}

// A server that undoes what is aborted passes.
func TestProbe(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	if err := l.store.ProbeTransactions(t.Context()); err != nil {
		t.Error(err)
	}
	if got, want := names(l.sent.take()), []string{"insert", "abortTransaction", "aggregate"}; !equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

// One that keeps it, or has no transactions, is refused, and what it kept is deleted.
func TestProbeRefuses(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	err := s.ProbeTransactions(t.Context())
	var hello struct{ SetName string }
	if e := coll.Database().RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); e != nil {
		t.Fatal(e)
	}
	if has := hello.SetName != ""; has != (err == nil) || (!has && !errors.Is(err, dedupe.ErrNoTransactions)) {
		t.Errorf("replica set %q: %v", hello.SetName, err)
	}
	t.Log(err)
	if n, err := coll.CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
		t.Errorf("%d documents are left, %v", n, err)
	}
}

// An answer that does not come is no proof either.
func TestProbeUnanswered(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.set.On(func(string, int) *mongowire.Turn {
		return &mongowire.Turn{Reply: mongowire.LabelledFailure(20, "IllegalOperation")}
	})
	if err := l.store.ProbeTransactions(t.Context()); !errors.Is(err, dedupe.ErrNoTransactions) {
		t.Errorf("%v, want a refusal", err)
	}
}
