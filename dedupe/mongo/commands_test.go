package mongo_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// recorder keeps the commands that a client sends.
type recorder struct {
	mu       sync.Mutex
	commands []bson.Raw
	hellos   int // a store's own; those of the driver's monitors are not told
}

func (r *recorder) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.CommandName == "hello" {
			r.hellos++
			return
		}
		r.commands = append(r.commands, slices.Clone(e.Command))
	}}
}

// take returns what was sent since it was last called.
func (r *recorder) take() []bson.Raw {
	r.mu.Lock()
	defer r.mu.Unlock()
	cs := r.commands
	r.commands = nil
	return cs
}

// asked is how often the server was asked for its time since this was last called.
func (r *recorder) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.hellos
	r.hellos = 0
	return n
}

func names(cs []bson.Raw) []string {
	var all []string
	for _, c := range cs {
		e, err := c.IndexErr(0)
		if err != nil {
			continue
		}
		all = append(all, e.Key())
	}
	return all
}

// recorded is a store on a client whose own concerns are the weakest there are.
func recorded(t *testing.T, o *mongodedupe.Options) (*mongodedupe.Store, *driver.Client, *recorder) {
	t.Helper()
	r := &recorder{}
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)).SetMonitor(r.monitor()).
		SetWriteConcern(writeconcern.Unacknowledged()).SetReadConcern(readconcern.Available()).SetReadPreference(readpref.Nearest()))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	s, err := mongodedupe.New(t.Context(), client.Database(coll.Database().Name()).Collection(coll.Name()), o)
	if err != nil {
		t.Fatal(err)
	}
	r.take()
	return s, client, r
}

// everything calls every method, with fresh keys, duplicates, takeovers and short counts.
func everything(t *testing.T, s *mongodedupe.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cs, err := s.Claim(ctx, requests(1)[:3])
	must(err)
	_, err = s.Claim(ctx, requests(1)[:4])
	must(err)
	_, err = s.Extend(ctx, append(cs, dedupe.Claim{Nonce: "n"}), time.Second, time.Minute)
	must(err)
	_, err = s.Settle(ctx, []dedupe.Settlement{
		{Claim: cs[0], TTL: time.Minute},
		{Claim: cs[1], Outcome: dedupe.Failed, TTL: time.Minute},
		{Claim: cs[2], Outcome: dedupe.GivenUp, TTL: time.Minute, Lease: time.Second},
		{Claim: dedupe.Claim{Nonce: "n"}, TTL: time.Minute},
	})
	must(err)
	rs := requests(1)[:3]
	for i := range rs {
		rs[i].Nonce += "-again"
	}
	_, err = s.Claim(ctx, rs)
	must(err)
	for range 2 {
		must(each(s.Mark(ctx, []dedupe.Mark{{Key: cs[0].Key, State: dedupe.Done, TTL: time.Minute}, {Key: dedupe.Key{ID: "m"}, State: dedupe.Dead, TTL: time.Minute}})))
		_, err = s.Begin(ctx, "g", "t", dedupe.Watermark{Position: dedupe.Position{Stream: "s"}})
		must(err)
	}
	_, err = s.Seen(ctx, []dedupe.Key{cs[0].Key})
	must(err)
	must(each(s.Reopen(ctx, []dedupe.Key{cs[2].Key})))
	must(s.Advance(ctx, "g", "t", dedupe.Watermark{Position: dedupe.Position{Stream: "s", Sequence: 3}}))
	_, err = s.Replace(ctx, "g", "t", dedupe.Watermark{Position: dedupe.Position{Stream: "s", Sequence: 3}}, dedupe.Watermark{Position: dedupe.Position{Stream: "s"}})
	must(err)
	_, err = s.Watermarks(ctx, "g", "t")
	must(err)
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		o     *mongodedupe.Options
		w     any
		local bool
	}{
		{name: "default", w: "majority"},
		{name: "w:1", o: &mongodedupe.Options{WriteConcern: writeconcern.W1()}, w: int32(1), local: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _, r := recorded(t, c.o)
			everything(t, s)
			cs := r.take()
			seen := map[string]int{}
			levels := map[string]int{}
			for i, n := range names(cs) {
				seen[n]++
				switch n {
				case "insert", "update":
					var w any
					if err := cs[i].Lookup("writeConcern", "w").Unmarshal(&w); err != nil || w != c.w {
						t.Errorf("%s with w:%v (%v), want w:%v: %v", n, w, err, c.w, cs[i])
					}
				case "aggregate", "find":
					level, _ := cs[i].Lookup("readConcern", "level").StringValueOK()
					levels[level]++
					if level != "majority" && !c.local {
						t.Errorf("%s with read concern %q, want majority", n, level)
					}
				default:
					t.Errorf("an unexpected command: %s", n)
				}
				// The driver limits cursors on its own side only.
				if _, err := cs[i].LookupErr("maxTimeMS"); err != nil && n != "aggregate" {
					t.Errorf("%s without a time limit", n)
				}
			}
			if seen["insert"] == 0 || seen["update"] == 0 || seen["aggregate"] == 0 || seen["find"] == 0 {
				t.Errorf("commands %v: some kind is missing", seen)
			}
			if levels["majority"] == 0 {
				t.Errorf("reads %v: none with read concern majority", levels)
			}
		})
	}
}

// An answer that an event is acknowledged on is a majority's, however weakly this store writes.
func TestAcknowledgedOnMajority(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, &mongodedupe.Options{WriteConcern: writeconcern.W1()})
	rs := requests(1)[:2]
	marks := []dedupe.Mark{{Key: rs[0].Key, State: dedupe.Done, TTL: time.Hour}}
	if err := each(s.Mark(t.Context(), marks)); err != nil {
		t.Fatal(err)
	}
	r.take()
	if cs, err := s.Claim(t.Context(), rs); err != nil || cs[0].State != dedupe.Done {
		t.Fatalf("%+v, %v", cs, err)
	}
	if rec, err := s.Seen(t.Context(), []dedupe.Key{rs[0].Key}); err != nil || rec[0].State != dedupe.Done {
		t.Fatalf("%+v, %v", rec, err)
	}
	reads := 0
	for _, c := range r.take() {
		level, ok := c.Lookup("readConcern", "level").StringValueOK()
		if ok && level != "majority" {
			t.Errorf("read with %s: %v", level, c)
		}
		if ok {
			reads++
		}
	}
	if reads != 2 {
		t.Errorf("%d reads, want 2", reads)
	}
}

// A batch costs a constant number of round trips, whatever is in it.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	expect := func(what string, want ...string) {
		t.Helper()
		if got := names(r.take()); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	rs := requests(1)
	for i := range rs {
		rs[i].Lease = 100 * time.Millisecond
	}
	claim := func(suffix string) []dedupe.Claim {
		t.Helper()
		again := slices.Clone(rs)
		for i := range again {
			again[i].Nonce += suffix
		}
		cs, err := s.Claim(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		return cs
	}
	cs := claim("")
	expect("fresh", "insert")
	if _, err := s.Extend(t.Context(), cs, time.Minute, time.Hour); err != nil {
		t.Fatal(err)
	}
	expect("extended", "update")
	claim("-b")
	expect("held", "insert", "aggregate")
	if _, err := s.Extend(t.Context(), cs, time.Millisecond, time.Hour); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // leases end
	r.take()
	won := claim("-c")
	expect("taken over", "insert", "aggregate", "update")
	for _, c := range won {
		if c.State != dedupe.Fresh || c.Crashes != 1 {
			t.Fatalf("taken over: %+v", c)
		}
	}
	ss := make([]dedupe.Settlement, 0, 2*len(cs))
	for i := range won {
		ss = append(ss, dedupe.Settlement{Claim: won[i], TTL: time.Hour})
	}
	if _, err := s.Settle(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	expect("marked", "update")
	if _, err := s.Settle(t.Context(), ss); err != nil {
		t.Fatal(err)
	}
	expect("marked again", "update", "aggregate")
	claim("-d")
	expect("done", "insert", "aggregate")
}

// What a caller's transaction aborts takes no claim with it.
func TestOutsideTransactions(t *testing.T) {
	t.Parallel()
	s, client, r := recorded(t, nil)
	session, err := client.StartSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.EndSession(t.Context())
	if err := session.StartTransaction(options.Transaction().SetWriteConcern(writeconcern.Majority())); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(driver.NewSessionContext(t.Context(), session), requests(1)[:1]); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.take() {
		for _, name := range []string{"startTransaction", "autocommit"} {
			if _, err := c.LookupErr(name); err == nil {
				t.Errorf("the claim is part of the transaction: %v", c)
			}
		}
	}
}
