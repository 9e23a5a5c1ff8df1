package mongo_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/onceish/onceish/dedupe"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// win claims as soon as the key is to be had.
func win(t *testing.T, s *mongodedupe.Store, r dedupe.Request) dedupe.Claim {
	t.Helper()
	c := claimOne(t, s, r)
	for c.State == dedupe.Held {
		time.Sleep(c.HeldFor)
		c = claimOne(t, s, r)
	}
	return c
}

// What looks like an expression, an operator or a variable is kept as it is.
func TestNothingIsAnExpression(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	for i, text := range []string{"$owner", "$$NOW", "$$ROOT", "$", "$$", "a.b", "{$literal: 1}"} {
		a := request(text, time.Millisecond)
		a.Hash = nil
		claimOne(t, s, a)
		b := request(text, time.Minute)
		b.Nonce, b.Hash = text, []byte(text)
		c := win(t, s, b)
		errs, err := s.Settle(t.Context(), []dedupe.Settlement{{
			Claim: c, Outcome: dedupe.GivenUp, Reason: text, Letter: text, Lease: time.Millisecond, TTL: time.Hour,
		}})
		if err != nil || errs[0] != nil {
			t.Fatalf("%q: %v, %v", text, errs, err)
		}
		b.Nonce = text + "2"
		c = win(t, s, b)
		if c.State != dedupe.DeadLettering || c.Reason != text || c.Letter != text || !bytes.Equal(c.Hash, []byte(text)) {
			t.Errorf("%q: %+v", text, c)
		}
		n, err := coll.CountDocuments(t.Context(), bson.D{})
		if err != nil || n != int64(i)+1 {
			t.Errorf("%q: %d rows (%v), want %d", text, n, err, i+1)
		}
	}
}

// The row is what the documentation says it is.
func TestRow(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	c := claimOne(t, s, request("a", time.Minute))
	raw, err := coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: "orders::billing::a"}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var row struct {
		State, Owner      string
		Token             int64
		LeaseUntil        time.Time `bson:"lease_until"`
		Attempts, Crashes int
		Since             time.Time
		Hash              []byte
		ExpireAt          time.Time `bson:"expireAt"`
	}
	if err := bson.Unmarshal(raw, &row); err != nil {
		t.Fatal(err)
	}
	if row.State != "claimed" || row.Owner != c.Nonce || row.Token != 1 || string(row.Hash) != "hash" {
		t.Errorf("%v", raw)
	}
	lease, kept := row.LeaseUntil.Sub(row.Since), row.ExpireAt.Sub(row.Since)
	if lease < time.Minute || lease > 65*time.Second || kept < time.Hour || kept > time.Hour+5*time.Second {
		t.Errorf("a lease of %v, kept for %v", lease, kept)
	}
}

// Clients whose clocks are minutes wrong agree on who holds a lease, and for how long.
func TestSkew(t *testing.T) {
	t.Parallel()
	client := connect(t, options.Client().ApplyURI(mongotest.URI(t)))
	coll := collection(t, client)
	stores := map[time.Duration]*mongodedupe.Store{}
	for _, d := range []time.Duration{0, 5 * time.Minute, -5 * time.Minute} {
		stores[d] = store(t, coll, mongodedupe.Options{}.Skew(d))
	}
	const lease = time.Second
	crashes := make(map[string]int)
	for d, s := range stores {
		for e, other := range stores {
			r := request(fmt.Sprintf("%v %v", d, e), lease)
			sent := time.Now()
			c := claimOne(t, s, r)
			if c.State != dedupe.Fresh || c.HeldFor > lease || c.Age > time.Second {
				t.Fatalf("clock off by %v: %+v", d, c)
			}
			r.Nonce = "other"
			h := claimOne(t, other, r)
			if over := time.Until(sent.Add(lease)); over > 0 && (h.State != dedupe.Held || h.HeldFor > lease+time.Second || h.HeldFor < over-100*time.Millisecond) {
				t.Errorf("claimed with a clock off by %v, asked with one off by %v: %v for %v, %v before its end", d, e, h.State, h.HeldFor, over)
			}
			crashes[r.Key.ID] = 1
			if h.State == dedupe.Fresh { // asked so late that the lease was over
				crashes[r.Key.ID] = 2
			}
			if err := each(s.Mark(t.Context(), []dedupe.Mark{{Key: dedupe.Key{ID: r.Key.ID}, State: dedupe.Done, TTL: time.Minute}})); err != nil {
				t.Fatal(err)
			}
			if rs, err := other.Seen(t.Context(), []dedupe.Key{{ID: r.Key.ID}}); err != nil || rs[0].State != dedupe.Done {
				t.Errorf("marked with a clock off by %v, seen with one off by %v: %v, %v", d, e, rs, err)
			}
		}
	}
	time.Sleep(lease + 500*time.Millisecond) // the leases end
	for d := range stores {
		for e, other := range stores {
			r := request(fmt.Sprintf("%v %v", d, e), lease)
			r.Nonce = "taker"
			if c := claimOne(t, other, r); c.State != dedupe.Fresh || c.Crashes != crashes[r.Key.ID] {
				t.Errorf("claimed with a clock off by %v, taken over with one off by %v: %+v; want %d crashes", d, e, c, crashes[r.Key.ID])
			}
		}
	}
}

// A pool that is too small makes calls slow; it loses no lease, and every call returns. How slow
// depends on the machine: calls have all the time that there is.
func TestSmallPool(t *testing.T) {
	t.Parallel()
	w := mongowire.New(t, mongotest.URI(t))
	coll := collection(t, connect(t, options.Client().ApplyURI(mongotest.URI(t))))
	client := connect(t, options.Client().ApplyURI(w.URI()).SetMaxPoolSize(2).SetServerSelectionTimeout(4*patience))
	s, err := mongodedupe.New(t.Context(), client.Database(coll.Database().Name()).Collection(coll.Name()), &mongodedupe.Options{Timeout: 4 * patience})
	if err != nil {
		t.Fatal(err)
	}
	w.Slow(5 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r := request(fmt.Sprint(i), 4*patience)
			cs, err := s.Claim(t.Context(), []dedupe.Request{r})
			if err != nil || cs[0].State != dedupe.Fresh {
				t.Errorf("claim: %+v, %v", cs, err)
				return
			}
			for range 3 {
				if errs, err := s.Extend(t.Context(), cs, 4*patience, time.Hour); err != nil || errs[0] != nil {
					t.Errorf("extend: %v, %v", errs, err)
				}
			}
			r.Nonce = "other"
			if other, err := s.Claim(t.Context(), []dedupe.Request{r}); err != nil || other[0].State != dedupe.Held {
				t.Errorf("asked by another: %+v, %v", other, err)
			}
			if errs, err := s.Settle(t.Context(), []dedupe.Settlement{{Claim: cs[0], TTL: time.Hour}}); err != nil || errs[0] != nil {
				t.Errorf("settle: %v, %v", errs, err)
			}
		})
	}
	wg.Wait()
}

// Watermarks carry no expiry, so no TTL index takes them; neither are they rows.
func TestWatermarkStays(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	if _, err := s.Begin(t.Context(), "billing", "orders", dedupe.Watermark{Position: dedupe.Position{Stream: "ORDERS", Sequence: 7, Stored: time.Unix(0, 1)}}); err != nil {
		t.Fatal(err)
	}
	raw, err := coll.FindOne(t.Context(), bson.D{{Key: "_id", Value: "%watermark::orders::billing::"}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.LookupErr("expireAt"); err == nil {
		t.Errorf("the watermark expires: %v", raw)
	}
	for _, at := range []dedupe.Watermark{
		{Position: dedupe.Position{Sequence: 1 << 63}},
		{Position: dedupe.Position{Stored: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{Trail: []dedupe.Point{{Sequence: 1 << 63}}},
	} {
		if _, err := s.Begin(t.Context(), "g", "t", at); err == nil {
			t.Errorf("%+v is kept, and would come back as something else", at)
		}
		if err := s.Advance(t.Context(), "g", "t", at); err == nil {
			t.Errorf("%+v is kept, and would come back as something else", at)
		}
	}
}

// Arguments that make no sense are refused before anything is sent.
func TestArguments(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	good := request("a", time.Minute)
	for name, q := range map[string]dedupe.Request{
		"no nonce":       {Lease: time.Second, TTL: time.Minute},
		"nonce no UTF-8": {Nonce: "\xff", Lease: time.Second, TTL: time.Minute},
		"no lease":       {Nonce: "n", TTL: time.Minute},
		"TTL too short":  {Nonce: "n", Lease: time.Minute, TTL: time.Minute},
	} {
		if _, err := s.Claim(t.Context(), []dedupe.Request{good, q}); err == nil {
			t.Errorf("%s: claimed", name)
		}
	}
	for name, x := range map[string]dedupe.Settlement{
		"no TTL":          {},
		"no lease":        {Outcome: dedupe.GivenUp, TTL: time.Minute},
		"letter no UTF-8": {Outcome: dedupe.GivenUp, TTL: time.Minute, Lease: time.Second, Letter: "\xff"},
		"outcome":         {Outcome: dedupe.DeadLettered + 1, TTL: time.Minute},
	} {
		if _, err := s.Settle(t.Context(), []dedupe.Settlement{x}); err == nil {
			t.Errorf("%s: settled", name)
		}
	}
	if _, err := s.Extend(t.Context(), nil, 0, time.Minute); err == nil {
		t.Error("extended by nothing")
	}
	for _, m := range []dedupe.Mark{{State: dedupe.Held, TTL: time.Minute}, {State: dedupe.Done}} {
		if err := each(s.Mark(t.Context(), []dedupe.Mark{m})); err == nil {
			t.Errorf("%+v is marked", m)
		}
	}
	if sent := names(r.take()); len(sent) > 0 {
		t.Errorf("sent %v, want nothing", sent)
	}
}
