package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/mongotest"
	"github.com/onceish/onceish/internal/mongowire"
)

// wired is a store behind a proxy, its collection, and the proxy. Its client tries nothing again by itself.
func wired(t *testing.T) (*mongodedupe.Store, *driver.Collection, *mongowire.Proxy) {
	t.Helper()
	return wiredWith(t, nil)
}

func wiredWith(t *testing.T, o *mongodedupe.Options) (*mongodedupe.Store, *driver.Collection, *mongowire.Proxy) {
	t.Helper()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	client := connect(t, options.Client().ApplyURI(w.URI()).SetRetryReads(false).SetRetryWrites(false))
	s, err := mongodedupe.New(t.Context(), client.Database(coll.Database().Name()).Collection(coll.Name()), o)
	if err != nil {
		t.Fatal(err)
	}
	return s, coll, w
}

func request(id string, lease time.Duration) dedupe.Request {
	return dedupe.Request{
		Key: dedupe.Key{Topic: "orders", Group: "billing", ID: id}, Nonce: id + "-nonce", Hash: []byte("hash"), Lease: lease, TTL: time.Hour,
	}
}

// again calls f until it has no error, and wants no more than one.
func again[T any](t *testing.T, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		v, err = f()
	}
	if err != nil {
		t.Fatalf("repeated after an error: %v", err)
	}
	return v
}

func claimOne(t *testing.T, s *mongodedupe.Store, r dedupe.Request) dedupe.Claim {
	t.Helper()
	cs, err := s.Claim(t.Context(), []dedupe.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	return cs[0]
}

// lapse waits until a lease is over, as the store tells how long that is.
func lapse(t *testing.T, s *mongodedupe.Store, r dedupe.Request) {
	t.Helper()
	r.Nonce, r.Hash = "waits", []byte("another payload: claims nothing")
	for c := claimOne(t, s, r); c.HeldFor > 0; c = claimOne(t, s, r) {
		time.Sleep(c.HeldFor)
	}
}

// Every call is repeated after each of its commands was lost, or its answer was; what comes of it is as if nothing had been.
func TestLostCommands(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{true, false} {
		for n := range 4 {
			t.Run(fmt.Sprintf("command=%d applied=%t", n, applied), func(t *testing.T) {
				t.Parallel()
				s, _, w := wired(t)
				lostClaims(t, s, w, n, applied)
				lostSettlements(t, s, w, n, applied)
				lostMarks(t, s, w, n, applied)
			})
		}
	}
}

func lostClaims(t *testing.T, s *mongodedupe.Store, w *mongowire.Proxy, n int, applied bool) {
	t.Helper()
	old := request("old", time.Millisecond)
	crashed := claimOne(t, s, old)
	gone := request("fresh", time.Minute)
	taker := request("old", time.Minute)
	taker.Nonce = "taker"
	lapse(t, s, old)
	w.Cut(n, applied)
	cs := again(t, func() ([]dedupe.Claim, error) { return s.Claim(t.Context(), []dedupe.Request{gone, taker}) })
	w.Cut(0, false)()
	if cs[0].State != dedupe.Fresh || cs[0].Crashes != 0 || cs[0].Token != 1 {
		t.Errorf("a fresh key: %+v", cs[0])
	}
	if cs[1].State != dedupe.Fresh || cs[1].Crashes != 1 || cs[1].Token != crashed.Token+1 {
		t.Errorf("a takeover: %+v", cs[1])
	}
}

func lostSettlements(t *testing.T, s *mongodedupe.Store, w *mongowire.Proxy, n int, applied bool) {
	t.Helper()
	outcomes := []dedupe.Outcome{dedupe.Succeeded, dedupe.Failed, dedupe.NotBegun, dedupe.GivenUp}
	ss := make([]dedupe.Settlement, len(outcomes))
	for i, o := range outcomes {
		c := claimOne(t, s, request(o.String(), time.Minute))
		ss[i] = dedupe.Settlement{Claim: c, Outcome: o, TTL: time.Hour, Lease: time.Minute, CountAttempt: true}
	}
	w.Cut(n, applied)
	oks := again(t, func() ([]bool, error) { return s.Settle(t.Context(), ss) })
	w.Cut(0, false)()
	for i, ok := range oks {
		if !ok {
			t.Errorf("%v: superseded", outcomes[i])
		}
	}
	for id, attempts := range map[string]int{"failed": 1, "not begun": 0, "given up": 1} {
		r := request(id, time.Minute)
		r.Nonce = "next"
		if c := claimOne(t, s, r); c.Attempts != attempts || c.Crashes != 0 {
			t.Errorf("%s: %d attempts and %d crashes, want %d and none", id, c.Attempts, c.Crashes, attempts)
		}
	}
}

func lostMarks(t *testing.T, s *mongodedupe.Store, w *mongowire.Proxy, n int, applied bool) {
	t.Helper()
	a, b := dedupe.Key{ID: "a"}, dedupe.Key{ID: "b"}
	if err := s.Mark(t.Context(), []dedupe.Mark{{Key: a, State: dedupe.Dead, TTL: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	w.Cut(n, applied)
	again(t, func() (any, error) {
		return nil, s.Mark(t.Context(), []dedupe.Mark{{Key: a, State: dedupe.Done, TTL: time.Hour}, {Key: b, State: dedupe.Done, TTL: time.Hour}})
	})
	w.Cut(0, false)()
	rs, err := s.Seen(t.Context(), []dedupe.Key{a, b})
	if err != nil || rs[0].State != dedupe.Done || rs[1].State != dedupe.Done {
		t.Errorf("marked: %+v, %v", rs, err)
	}
}

// A row that keeps neither being inserted nor read is somebody else's for the moment; the call ends.
func TestInvisibleRow(t *testing.T) {
	t.Parallel()
	s, _, w := wired(t)
	r := request("a", time.Minute)
	claimOne(t, s, r)
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command == "aggregate" {
			return mongowire.With(reply, "cursor", bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "db.dedupe"}, {Key: "firstBatch", Value: bson.A{}}})
		}
		return reply
	})
	if c := claimOne(t, s, r); c.State != dedupe.Held || c.HeldFor <= 0 || c.HeldFor > time.Second {
		t.Errorf("%v for %v, want held for a moment", c.State, c.HeldFor)
	}
	w.Rewrite(nil)
	if c := claimOne(t, s, r); c.State != dedupe.Fresh || c.Crashes != 0 {
		t.Errorf("asked again: %+v, want its own claim", c)
	}
}

// A key that the server turns down for ever is told apart from the others of its batch.
func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	for _, code := range []int{121, 261, 17280} {
		s, _, w := wired(t)
		w.Rewrite(func(command string, reply bson.D) bson.D {
			if command != "insert" {
				return reply
			}
			reply = mongowire.With(reply, "n", int32(1))
			return mongowire.With(reply, "writeErrors", bson.A{mongowire.WriteError(1, code, "no such key")})
		})
		cs, err := s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute), request("b", time.Minute), request("b", time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if cs[0].State != dedupe.Fresh || cs[0].Err != nil {
			t.Errorf("code %d: its neighbour: %+v", code, cs[0])
		}
		for _, c := range cs[1:] {
			if !errors.Is(c.Err, dedupe.ErrKeyRefused) || c.Key.ID != "b" || c.Nonce == "" || c.Token != 0 {
				t.Errorf("code %d: %+v, want an ErrKeyRefused", code, c)
			}
		}
		err = s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: "c"}, State: dedupe.Done, TTL: time.Hour}, {Key: dedupe.Key{ID: "d"}, State: dedupe.Done, TTL: time.Hour}})
		if !errors.Is(err, dedupe.ErrKeyRefused) || !strings.Contains(err.Error(), "::d") || strings.Contains(err.Error(), "::c") {
			t.Errorf("code %d: mark: %v, want an ErrKeyRefused of d", code, err)
		}
	}
}

// A write that is applied, but not as widely as was asked, or turned down for reasons that pass, is an error of the call.
func TestFailedWrites(t *testing.T) {
	t.Parallel()
	concern := bson.D{{Key: "code", Value: int32(64)}, {Key: "errmsg", Value: "waiting for replication timed out"}}
	for name, edit := range map[string]func(bson.D) bson.D{
		"write concern": func(d bson.D) bson.D { return mongowire.With(d, "writeConcernError", concern) },
		"one item": func(d bson.D) bson.D {
			return mongowire.With(d, "writeErrors", bson.A{mongowire.WriteError(0, 11601, "interrupted")})
		},
		"miscounted": func(d bson.D) bson.D { return mongowire.With(d, "n", int32(7)) },
		"command":    func(bson.D) bson.D { return mongowire.Failure(11600, "InterruptedAtShutdown") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, w := wired(t)
			w.Rewrite(func(command string, reply bson.D) bson.D {
				if command == "insert" {
					return edit(reply)
				}
				return reply
			})
			r := request("a", time.Minute)
			if cs, err := s.Claim(t.Context(), []dedupe.Request{r}); err == nil {
				t.Errorf("%+v, want an error", cs)
			}
			if err := s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: "m"}, State: dedupe.Done, TTL: time.Hour}}); err == nil {
				t.Error("marked, want an error")
			}
			w.Rewrite(nil)
			if c := claimOne(t, s, r); c.State != dedupe.Fresh || c.Crashes != 0 {
				t.Errorf("asked again: %+v, want its own claim", c)
			}
		})
	}
}

// FerretDB's word for a lost race is understood as such.
func TestOtherWordForDuplicate(t *testing.T) {
	t.Parallel()
	s, _, w := wired(t)
	claimOne(t, s, request("a", time.Minute))
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command != "insert" {
			return reply
		}
		return mongowire.With(reply, "writeErrors", bson.A{mongowire.WriteError(0, 1, `duplicate key value violates unique constraint "collection_pk_1"`)})
	})
	r := request("a", time.Minute)
	r.Nonce = "other"
	if c := claimOne(t, s, r); c.State != dedupe.Held {
		t.Errorf("%+v, want held", c)
	}
}

// A row in a state of a later version, or of nobody's, stops its own event only.
func TestUnknownState(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	r := request("a", time.Minute)
	if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: r.Key.String()}, {Key: "state", Value: "parked"}}); err != nil {
		t.Fatal(err)
	}
	cs, err := s.Claim(t.Context(), []dedupe.Request{r, request("b", time.Minute)})
	if err != nil || cs[1].State != dedupe.Fresh || !errors.Is(cs[0].Err, dedupe.ErrKeyRefused) || !strings.Contains(cs[0].Err.Error(), `"parked"`) {
		t.Errorf("%+v, %v", cs, err)
	}
}

// A server that answers nothing costs the time-out, no more.
func TestTimeout(t *testing.T) {
	t.Parallel()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	client := connect(t, options.Client().ApplyURI(w.URI()))
	s, err := mongodedupe.New(t.Context(), client.Database(coll.Database().Name()).Collection(coll.Name()), &mongodedupe.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.Slow(3 * time.Second)
	start := time.Now()
	_, err = s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute)})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2500*time.Millisecond {
		t.Errorf("%v after %v, want the time-out of 1s", err, time.Since(start))
	}
}

// After an error the server may be another: its time is asked for again, before anything is inserted.
func TestClockAfterError(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	claimOne(t, s, request("a", time.Minute))
	if r.asked(); r.asked() != 0 {
		t.Error("the server's time is asked for with every claim")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Claim(ended, []dedupe.Request{request("b", time.Minute)}); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	claimOne(t, s, request("b", time.Minute))
	if r.asked() == 0 {
		t.Error("the server's time is not asked for after an error")
	}
}

// A takeover misses the row that was touched after it was read: extended it stays its owner's, marked it is done.
func TestTakeoverMisses(t *testing.T) {
	t.Parallel()
	touches := map[string]struct {
		touch func(s *mongodedupe.Store, c dedupe.Claim) error
		want  dedupe.State
	}{
		"extended": {func(s *mongodedupe.Store, c dedupe.Claim) error {
			_, err := s.Extend(context.Background(), []dedupe.Claim{c}, time.Minute, time.Hour)
			return err
		}, dedupe.Held},
		"marked": {func(s *mongodedupe.Store, c dedupe.Claim) error {
			_, err := s.Settle(context.Background(), []dedupe.Settlement{{Claim: c, TTL: time.Hour}})
			return err
		}, dedupe.Done},
		"marked by another": {func(s *mongodedupe.Store, c dedupe.Claim) error {
			return s.Mark(context.Background(), []dedupe.Mark{{Key: c.Key, State: dedupe.Dead, TTL: time.Hour}})
		}, dedupe.Dead},
	}
	for name, c := range touches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, coll, w := wired(t)
			direct, err := mongodedupe.New(t.Context(), coll, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := request("a", time.Millisecond)
			old := claimOne(t, direct, r)
			lapse(t, direct, r)
			touched := make(chan error, 1)
			w.Rewrite(func(command string, reply bson.D) bson.D {
				if command == "aggregate" && len(touched) == 0 {
					touched <- c.touch(direct, old)
				}
				return reply
			})
			r.Nonce = "taker"
			got := claimOne(t, s, r)
			if err := <-touched; err != nil || got.State != c.want {
				t.Errorf("%+v (%v), want %v", got, err, c.want)
			}
		})
	}
}
