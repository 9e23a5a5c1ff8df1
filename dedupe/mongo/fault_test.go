package mongo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// wired is a store behind a proxy, its collection, and the proxy. Its client tries nothing
// again by itself.
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

// each is nil when the store has carried out every item.
func each(errs []error, err error) error { return errors.Join(append(errs, err)...) }

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

// Every call is repeated after each of its commands was lost, or its answer was; what comes of it
// is as if nothing had been.
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
	errs := again(t, func() ([]error, error) { return s.Settle(t.Context(), ss) })
	w.Cut(0, false)()
	for i, err := range errs {
		if err != nil {
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
	if err := each(s.Mark(t.Context(), []dedupe.Mark{{Key: a, State: dedupe.Dead, TTL: time.Hour}})); err != nil {
		t.Fatal(err)
	}
	w.Cut(n, applied)
	again(t, func() (any, error) {
		return nil, each(s.Mark(t.Context(), []dedupe.Mark{{Key: a, State: dedupe.Done, TTL: time.Hour}, {Key: b, State: dedupe.Done, TTL: time.Hour}}))
	})
	w.Cut(0, false)()
	rs, err := s.Seen(t.Context(), []dedupe.Key{a, b})
	if err != nil || rs[0].State != dedupe.Done || rs[1].State != dedupe.Done {
		t.Errorf("marked: %+v, %v", rs, err)
	}
}

// A row that keeps neither being inserted nor read is somebody else's for the moment;
// the call ends.
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
	for _, code := range []int{261, 10334, 17280} {
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
		errs, err := s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: "c"}, State: dedupe.Done, TTL: time.Hour}, {Key: dedupe.Key{ID: "d"}, State: dedupe.Done, TTL: time.Hour}})
		if err != nil || errs[0] != nil || !errors.Is(errs[1], dedupe.ErrKeyRefused) {
			t.Errorf("code %d: marks: %v, %v, want an ErrKeyRefused of the second", code, errs, err)
		}
	}
}

// A validator that was put on the collection refuses every row: that is no fault of any
// event, so it is an answer that passes, and says what it is. A collection that has one at
// the start is refused.
func TestValidator(t *testing.T) {
	t.Parallel()
	s, coll, w := wired(t)
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command == "insert" {
			reply = mongowire.With(reply, "n", int32(0))
			return mongowire.With(reply, "writeErrors", bson.A{mongowire.WriteError(0, 121, "Document failed validation")})
		}
		return reply
	})
	cs, err := s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute)})
	if err != nil || cs[0].Err == nil || errors.Is(cs[0].Err, dedupe.ErrKeyRefused) || !strings.Contains(cs[0].Err.Error(), "validator") {
		t.Errorf("claim: %+v, %v, want an error that passes and names the validator", cs, err)
	}
	errs, err := s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: "m"}, State: dedupe.Done, TTL: time.Hour}})
	if err != nil || errs[0] == nil || errors.Is(errs[0], dedupe.ErrKeyRefused) {
		t.Errorf("mark: %v, %v, want an error that passes", errs, err)
	}
	w.Rewrite(func(command string, reply bson.D) bson.D {
		if command != "listCollections" {
			return reply
		}
		spec := bson.D{{Key: "name", Value: coll.Name()}, {Key: "type", Value: "collection"}, {Key: "options", Value: bson.D{
			{Key: "validator", Value: bson.D{{Key: "$jsonSchema", Value: bson.D{{Key: "required", Value: bson.A{"tenant"}}}}}},
		}}}
		ns := coll.Database().Name() + ".$cmd.listCollections"
		return mongowire.With(reply, "cursor", bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: ns}, {Key: "firstBatch", Value: bson.A{spec}}})
	})
	through := connect(t, options.Client().ApplyURI(w.URI())).Database(coll.Database().Name()).Collection(coll.Name())
	if _, err := mongodedupe.New(t.Context(), through, nil); !errors.Is(err, mongodedupe.ErrCollection) || !strings.Contains(err.Error(), "validator") {
		t.Errorf("New: %v, want an ErrCollection that names the validator", err)
	}
}

// A row that the server refuses ends the update that it is in. The others are then changed each by
// itself: none but that one is left out.
func TestOneRefusedRowStopsNoOther(t *testing.T) {
	t.Parallel()
	calls := map[string]func(s *mongodedupe.Store, cs []dedupe.Claim) ([]error, error){
		"settle": func(s *mongodedupe.Store, cs []dedupe.Claim) ([]error, error) {
			var ss []dedupe.Settlement
			for _, c := range cs {
				ss = append(ss, dedupe.Settlement{Claim: c, Outcome: dedupe.Failed, TTL: time.Hour})
			}
			return s.Settle(context.Background(), ss)
		},
		"extend": func(s *mongodedupe.Store, cs []dedupe.Claim) ([]error, error) {
			return s.Extend(context.Background(), cs, time.Minute, time.Hour)
		},
		"reopen": func(s *mongodedupe.Store, cs []dedupe.Claim) ([]error, error) {
			return s.Reopen(context.Background(), []dedupe.Key{cs[0].Key, cs[1].Key, cs[2].Key})
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, w := wired(t)
			cs, err := s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute), request("b", time.Minute), request("c", time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			var updates atomic.Int32
			w.Rewrite(func(command string, reply bson.D) bson.D {
				if command != "update" {
					return reply
				}
				refused := bson.A{mongowire.WriteError(0, 10334, "document is too large")} // the group
				if updates.Add(1) == 2 {
					refused = bson.A{mongowire.WriteError(1, 10334, "document is too large")} // the second row of it
				}
				return mongowire.With(reply, "writeErrors", refused)
			})
			errs, err := call(s, cs)
			if err != nil || len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], dedupe.ErrKeyRefused) || errs[2] != nil {
				t.Errorf("%v, %v, want an ErrKeyRefused of the second alone", errs, err)
			}
			if n := updates.Load(); n != 2 {
				t.Errorf("%d updates, want the group and its rows", n)
			}
		})
	}
}

// A write that is applied, but not as widely as was asked, is an error of the call; one row that is
// turned down for a reason that passes is an error of that item.
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
			if cs, err := s.Claim(t.Context(), []dedupe.Request{r}); err == nil && (cs[0].Err == nil || errors.Is(cs[0].Err, dedupe.ErrKeyRefused)) {
				t.Errorf("%+v, want an error that passes", cs)
			}
			if err := each(s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: "m"}, State: dedupe.Done, TTL: time.Hour}})); err == nil {
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

// A row in a state that this version does not know is left to the version that knows it: it is
// held, nobody runs it, and it is told of once. It stops no other event.
func TestUnknownState(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	s, err := mongodedupe.New(t.Context(), coll, &mongodedupe.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := request("a", time.Minute)
	if _, err := coll.InsertOne(t.Context(), bson.D{{Key: "_id", Value: r.Key.String()}, {Key: "state", Value: "parked"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cs, err := s.Claim(t.Context(), []dedupe.Request{r, request("b", time.Minute)})
		if err != nil || cs[0].State != dedupe.Held || cs[0].Err != nil || cs[0].HeldFor <= 0 || cs[1].State != dedupe.Fresh {
			t.Errorf("%+v, %v, want the first held and the second fresh", cs, err)
		}
		rs, err := s.Seen(t.Context(), []dedupe.Key{r.Key, {ID: "unknown"}})
		if err != nil || rs[0].State != dedupe.Held || rs[0].Err == nil || errors.Is(rs[0].Err, dedupe.ErrKeyRefused) || rs[1].Err != nil {
			t.Errorf("seen as %+v, %v, want held with an error that passes", rs, err)
		}
	}
	if n := strings.Count(log.String(), "parked"); n != 1 {
		t.Errorf("told of %d times, want once:\n%s", n, log.String())
	}
}

// A server that answers nothing costs the time-out, no more.
func TestTimeout(t *testing.T) {
	t.Parallel()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	client := connect(t, options.Client().ApplyURI(w.URI()))
	s, err := mongodedupe.New(t.Context(), client.Database(coll.Database().Name()).Collection(coll.Name()), &mongodedupe.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	w.Slow(20 * time.Second)
	start := time.Now()
	_, err = s.Claim(t.Context(), []dedupe.Request{request("a", time.Minute)})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 15*time.Second {
		t.Errorf("%v after %v, want the time-out of 5s", err, time.Since(start))
	}
}

// What a claim is held for counts from when it was sent: a slow answer leaves less of it.
func TestHeldForCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	const lease, slow = 20 * time.Second, 500 * time.Millisecond
	s, _, w := wired(t)
	claimOne(t, s, request("lapsed", time.Millisecond))
	lapse(t, s, request("lapsed", time.Millisecond))
	w.Slow(slow)
	for _, id := range []string{"fresh", "lapsed"} {
		r := request(id, lease)
		r.Nonce = "taker"
		if c := claimOne(t, s, r); c.State != dedupe.Fresh || c.HeldFor > lease-slow {
			t.Errorf("%s: %v, held for %v of %v after an answer that took %v", id, c.State, c.HeldFor, lease, slow)
		}
	}
}

// After an error the server may be another: its time is asked for again, before
// anything is inserted.
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

// A takeover misses the row that was touched after it was read: extended it stays its owner's,
// marked it is done.
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
			return each(s.Mark(context.Background(), []dedupe.Mark{{Key: c.Key, State: dedupe.Dead, TTL: time.Hour}}))
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
