package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// abandoned has transactions begun for the keys, which hold their locks although their leases are
// over: as those of a process that died. It returns once that is so. rows has the claims past all
// locks; nil: it waits for the leases. After finish the functions return, and the errors of the
// transactions come.
func abandoned(t *testing.T, s *mongodedupe.Store, rows *driver.Collection, effect func(ctx context.Context) error, keys ...string) (finish func() []error) {
	t.Helper()
	lease := patience
	if rows == nil {
		lease = 5 * time.Second
	}
	ended, began, release := make(chan error, len(keys)), make(chan struct{}, 100*len(keys)), make(chan struct{})
	for _, id := range keys {
		c := claimOne(t, s, request(id, patience))
		if c.State != dedupe.Fresh {
			t.Fatalf("claim of %s: %+v", id, c)
		}
		go func() {
			ended <- s.Transact(context.WithoutCancel(t.Context()), c, lease, time.Hour, func(ctx context.Context) error {
				err := effect(ctx)
				began <- struct{}{}
				<-release
				return err
			})
		}()
	}
	for range keys {
		select {
		case <-began:
		case err := <-ended:
			t.Fatalf("ended before it was abandoned: %v", err)
		}
	}
	if rows != nil {
		if _, err := rows.UpdateMany(t.Context(), bson.D{{Key: "state", Value: "claimed"}}, bson.D{
			{Key: "$set", Value: bson.D{{Key: "lease_until", Value: time.Unix(0, 0)}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range keys {
		lapse(t, s, request(id, patience))
	}
	return func() (errs []error) {
		close(release)
		for range keys {
			errs = append(errs, <-ended)
		}
		return errs
	}
}

// other is a request by another process.
func other(id string) dedupe.Request {
	r := request(id, patience)
	r.Nonce = "other-" + id
	return r
}

// Who takes over ends the transaction that still locks the claim, and waits for nothing; the one
// that is ended commits nothing.
func TestTakeoverEndsTheTransaction(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	finish := abandoned(t, l.store, l.rows, l.effect, "a", "b")
	l.claim("fresh")
	cs, err := l.store.Claim(t.Context(), []dedupe.Request{other("a"), other("new"), other("b")})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ crashes, token int }{{1, 2}, {0, 1}, {1, 2}} {
		if c := cs[i]; c.State != dedupe.Fresh || c.Crashes != want.crashes || c.Token != uint64(want.token) || c.HeldFor <= 0 || c.HeldFor > patience {
			t.Errorf("%s: %+v, want it taken over", c.Key.ID, c)
		}
	}
	if n := l.set.Kills(); n != 2 {
		t.Errorf("%d sessions were ended, want the two that held locks", n)
	}
	for _, err := range finish() {
		if err == nil {
			t.Error("a transaction was committed that had lost its claim")
		}
	}
	l.holds(cs[0], dedupe.Held, 0)
	if err := l.store.Transact(t.Context(), cs[0], span, time.Hour, l.effect); err != nil {
		t.Errorf("the new owner: %v", err)
	}
	l.holds(cs[0], dedupe.Done, 1)
}

// A transaction that is over, or whose process died before its first statement, locks nothing: no
// session is ended for its claim.
func TestTakeoverOfAnEndedTransaction(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	finish := abandoned(t, l.store, l.rows, l.effect, "a")
	l.set.Forget() // as the server does when the transaction's time is over
	if cs, err := l.store.Claim(t.Context(), []dedupe.Request{other("a")}); err != nil || cs[0].State != dedupe.Fresh || cs[0].Crashes != 1 {
		t.Errorf("%+v, %v; want it taken over", cs, err)
	}
	if n := l.set.Kills(); n != 0 {
		t.Errorf("%d sessions were ended that held no lock", n)
	}
	finish()
}

// Where the server lets nobody end a session, the claim is held for a moment, again and again,
// until the server has ended it; what comes in the same batch does not wait for that.
func TestTakeoverThatMayNotEndIt(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.set.RefuseKills()
	finish := abandoned(t, l.store, l.rows, l.effect, "a", "b")
	lapsed := request("lapsed", time.Millisecond)
	claimOne(t, l.store, lapsed)
	lapse(t, l.store, lapsed)
	for i := range 3 {
		cs, err := l.store.Claim(t.Context(), []dedupe.Request{other("a"), other(fmt.Sprint("new", i)), other("b"), other("lapsed")})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []dedupe.Claim{cs[0], cs[2]} {
			if c.State != dedupe.Held || c.HeldFor <= 0 || c.HeldFor > time.Second || c.Crashes != 0 {
				t.Errorf("%+v, want it held for a moment", c)
			}
		}
		if cs[1].State != dedupe.Fresh || i == 0 && cs[3].State != dedupe.Fresh {
			t.Errorf("beside it: %+v, %+v", cs[1], cs[3])
		}
	}
	l.set.Forget()
	if cs, err := l.store.Claim(t.Context(), []dedupe.Request{other("a")}); err != nil || cs[0].State != dedupe.Fresh || cs[0].Crashes != 1 {
		t.Errorf("once the server has ended it: %+v, %v", cs, err)
	}
	finish()
}

// One call takes over no more than a few claims that may be locked; those that are left are soon
// asked for again.
func TestTakeoverIsLimited(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("%02d", i))
	}
	finish := abandoned(t, l.store, l.rows, l.effect, keys...)
	rest := keys
	for calls := 0; len(rest) > 0; calls++ {
		var rs []dedupe.Request
		for _, id := range rest {
			rs = append(rs, other(id))
		}
		cs, err := l.store.Claim(t.Context(), rs)
		if err != nil || calls == 2 {
			t.Fatalf("%d are left after %d calls, %v", len(rest), calls, err)
		}
		rest = nil
		for _, c := range cs {
			switch {
			case c.State == dedupe.Held && c.HeldFor > 0 && c.HeldFor <= time.Second:
				rest = append(rest, c.Key.ID)
			case c.State != dedupe.Fresh || c.Crashes != 1:
				t.Errorf("%+v", c)
			}
		}
		if calls == 0 && len(rest) != 4 {
			t.Errorf("%d are left after the first call, want 4", len(rest))
		}
	}
	finish()
}

// A takeover whose commit is not answered is found to be its own when it is asked for again, and
// counts no second crash.
func TestTakeoverUnanswered(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		l := newLedger(t)
		finish := abandoned(t, l.store, l.rows, l.effect, "a")
		l.set.Forget()
		l.set.On(commitOnce(applied))
		r := other("a")
		cs := again(t, func() ([]dedupe.Claim, error) { return l.store.Claim(t.Context(), []dedupe.Request{r}) })
		if cs[0].State != dedupe.Fresh || cs[0].Crashes != 1 || cs[0].Token != 2 {
			t.Errorf("applied=%t: %+v", applied, cs[0])
		}
		finish()
	}
}

// commitOnce cuts the first commit.
func commitOnce(applied bool) func(string, int) *mongowire.Turn {
	return func(command string, before int) *mongowire.Turn {
		if command != "commitTransaction" || before > 1 { // the driver itself tries twice
			return nil
		}
		return &mongowire.Turn{Apply: applied, Cut: true}
	}
}

// A settlement that has to wait for the claim's own transaction, whose abort was not heard, ends
// it, and is made when it is repeated.
func TestSettleEndsItsOwnTransaction(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	s, err := mongodedupe.New(t.Context(), l.effects.Database().Collection("dedupe"), &mongodedupe.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	finish := abandoned(t, l.store, l.rows, l.effect, "a", "b")
	r := request("a", patience)
	ss := []dedupe.Settlement{{Claim: dedupe.Claim{Key: r.Key, Nonce: r.Nonce}, Outcome: dedupe.Failed, TTL: time.Hour}}
	for tries := 1; ; tries++ {
		oks, err := s.Settle(t.Context(), ss)
		if err == nil {
			if oks[0] != nil || tries == 1 {
				t.Errorf("settled %v, on try %d", oks, tries)
			}
			break
		}
		if tries == 10 {
			t.Fatalf("still waits: %v", err)
		}
	}
	if n := l.set.Kills(); n != 1 {
		t.Errorf("%d sessions were ended, want that of the claim alone", n)
	}
	finish()
}

// A transaction names its session in the row while it may lock it, and not afterwards.
func TestSessionIsInTheRow(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	session := func(ctx context.Context) (bson.Raw, error) {
		raw, err := l.rows.FindOne(driver.NewSessionContext(ctx, nil), bson.D{}).Raw()
		if err != nil {
			return nil, err
		}
		d, _ := raw.Lookup("session").DocumentOK()
		return d, nil
	}
	c := l.claim("a")
	if err := l.store.Transact(t.Context(), c, span, time.Hour, func(ctx context.Context) error {
		named, err := session(ctx)
		if own := driver.SessionFromContext(ctx).ID(); string(named) != string(own) {
			t.Errorf("the row names %v, and the session is %v", named, own)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if named, err := session(t.Context()); err != nil || named != nil {
		t.Errorf("a mark names the session %v, %v", named, err)
	}
}

// On a real server too.
func TestTakeoverReplicaSet(t *testing.T) {
	t.Parallel()
	s, effects := replicated(t)
	finish := abandoned(t, s, nil, func(ctx context.Context) error {
		_, err := effects.InsertOne(ctx, bson.D{})
		return err
	}, "a")
	cs, err := s.Claim(t.Context(), []dedupe.Request{other("a"), other("new")})
	if err != nil || cs[0].State != dedupe.Fresh || cs[0].Crashes != 1 || cs[1].State != dedupe.Fresh {
		t.Fatalf("%+v, %v", cs, err)
	}
	for _, err := range finish() {
		if err == nil || errors.Is(err, dedupe.ErrCommitUnknown) {
			t.Errorf("who had lost its claim: %v", err)
		}
	}
	if n, err := effects.CountDocuments(t.Context(), bson.D{}, options.Count()); err != nil || n != 0 {
		t.Errorf("%d effects, %v", n, err)
	}
}
