package kv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/natsserver"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func testKey(id string) dedupe.Key {
	return dedupe.Key{Topic: "orders.created", Group: "billing", ID: id}
}

func ask(id, nonce string) dedupe.Request {
	return dedupe.Request{Key: testKey(id), Nonce: nonce, Hash: []byte("h"), Lease: time.Minute, TTL: time.Hour}
}

func claimOne(t *testing.T, s *Store, id, nonce string) dedupe.Claim {
	t.Helper()
	return claimAs(t, s, ask(id, nonce))
}

func claimAs(t *testing.T, s *Store, r dedupe.Request) dedupe.Claim {
	t.Helper()
	cs, err := s.Claim(t.Context(), []dedupe.Request{r})
	if err != nil {
		t.Fatalf("Claim of %s: %v", r.Key, err)
	}
	return cs[0]
}

// each is nil when the store has carried out every item.
func each(errs []error, err error) error { return errors.Join(append(errs, err)...) }

func settlement(c dedupe.Claim, o dedupe.Outcome) dedupe.Settlement {
	return dedupe.Settlement{Claim: c, Outcome: o, Lease: time.Minute, TTL: time.Hour}
}

func settleOne(t *testing.T, s *Store, c dedupe.Claim, o dedupe.Outcome) bool {
	t.Helper()
	errs, err := s.Settle(t.Context(), []dedupe.Settlement{settlement(c, o)})
	if err != nil {
		t.Fatalf("Settle %s as %v: %v", c.Key, o, err)
	}
	return errs[0] == nil
}

// TestServerRestarts has a server stop between claim and settlement, and come back over its store.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	back := make(chan struct{}, 1)
	nc := srv.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	s := newStore(t, nc, nil)
	at := dedupe.Watermark{Position: dedupe.Position{Stream: "ORDERS@1", Sequence: 7, Stored: time.Unix(5, 6)}}
	if _, err := s.Begin(t.Context(), "billing", "orders.>", at); err != nil {
		t.Fatal(err)
	}
	marked := claimOne(t, s, "marked", "n1")
	if !settleOne(t, s, marked, dedupe.Succeeded) {
		t.Fatal("marked: superseded")
	}
	running, failing := claimOne(t, s, "running", "n2"), claimOne(t, s, "failing", "n3")

	srv.Stop()
	if _, err := s.Seen(t.Context(), []dedupe.Key{marked.Key}); !errors.Is(err, ErrDisconnected) {
		t.Errorf("Seen without a server: %v, want ErrDisconnected", err)
	}
	srv.Start(t)
	wait(t, back, "reconnect")

	if c := claimOne(t, s, "marked", "n4"); c.State != dedupe.Done {
		t.Errorf("a marked key is %v after the restart, want done", c.State)
	}
	if c := claimOne(t, s, "running", "n5"); c.State != dedupe.Held {
		t.Errorf("a claimed key is %v after the restart, want held", c.State)
	}
	if !settleOne(t, s, running, dedupe.Succeeded) || !settleOne(t, s, failing, dedupe.Failed) {
		t.Error("a claim from before the restart is superseded after it")
	}
	if c := claimOne(t, s, "failing", "n6"); c.State != dedupe.Fresh || c.Attempts != 1 || c.Token <= failing.Token {
		t.Errorf("after a failure: %+v, want fresh with one attempt and a larger token than %d", c, failing.Token)
	}
	got, err := s.Begin(t.Context(), "billing", "orders.>", dedupe.Watermark{Position: dedupe.Position{Stream: "ORDERS@1"}})
	if err != nil || got.Sequence != 7 || !got.Stored.Equal(at.Stored) {
		t.Errorf("watermark after the restart: %+v, %v, want %+v", got, err, at)
	}
}

// TestMarkersAreTakenOver waits for a key's TTL, and wants the marker that it leaves behind to
// count as nothing; so do those of an operator's delete and purge.
func TestMarkersAreTakenOver(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := bucketOptions()
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: o.Bucket, LimitMarkerTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, nc, o)
	r := ask("expired", "n1")
	r.Lease, r.TTL = 500*time.Millisecond, time.Second
	claims := map[string]dedupe.Claim{"expired": claimAs(t, s, r), "deleted": claimOne(t, s, "deleted", "n2"), "purged": claimOne(t, s, "purged", "n3")}
	if err := bucket.Delete(t.Context(), eventKey(testKey("deleted"))); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Purge(t.Context(), eventKey(testKey("purged"))); err != nil {
		t.Fatal(err)
	}
	for id, old := range claims {
		marker := awaitMarker(t, bucket, eventKey(testKey(id)))
		if got, err := s.Seen(t.Context(), []dedupe.Key{old.Key}); err != nil || got[0].State != dedupe.Fresh {
			t.Errorf("%s: seen as %+v, %v, want fresh", id, got, err)
		}
		c := claimOne(t, s, id, "later")
		if c.State != dedupe.Fresh || c.Crashes != 0 || c.Token <= marker {
			t.Errorf("%s: %+v, want fresh, no crash, a token over the marker's %d", id, c, marker)
		}
		if settleOne(t, s, old, dedupe.Succeeded) {
			t.Errorf("%s: a claim outlives its takeover", id)
		}
		if !settleOne(t, s, c, dedupe.Succeeded) {
			t.Errorf("%s: superseded", id)
		}
	}
}

// awaitMarker returns the marker's revision.
func awaitMarker(t *testing.T, bucket jetstream.KeyValue, key string) uint64 {
	t.Helper()
	w, err := bucket.Watch(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Stop() }()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-w.Updates():
			if e != nil && e.Operation() != jetstream.KeyValuePut {
				return e.Revision()
			}
		case <-timeout:
			t.Fatalf("no marker under %s", key)
		}
	}
}

// TestOneWinner has two connections claim one key 32 times each, at once, alone and in batches
// that repeat it.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	stores := []*Store{newStore(t, srv.Connect(t), nil), newStore(t, srv.Connect(t), nil)}
	for round := range 5 {
		id := fmt.Sprintf("key-%d", round)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				rs := []dedupe.Request{ask(id, fmt.Sprintf("a%d", i)), ask(id, fmt.Sprintf("b%d", i)), ask("other", fmt.Sprintf("c%d-%d", round, i))}
				cs, err := stores[i%2].Claim(t.Context(), rs)
				if err != nil {
					t.Errorf("Claim: %v", err)
					return
				}
				for _, c := range cs[:2] {
					switch c.State {
					case dedupe.Fresh:
						won.Add(1)
					case dedupe.Held:
					default:
						t.Errorf("%v, want fresh or held", c.State)
					}
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d claimers won %s, want one", won.Load(), id)
		}
	}
}

// TestAnotherStoreSettles: what one store claimed, another, or the same after it forgot, settles
// all the same.
func TestAnotherStoreSettles(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, nil)
	one, other := newStore(t, srv.Connect(t), nil), newStore(t, srv.Connect(t), nil)
	c := claimOne(t, one, "a", "n1")
	if errs, err := other.Extend(t.Context(), []dedupe.Claim{c}, time.Minute, time.Hour); err != nil || errs[0] != nil {
		t.Fatalf("Extend: %v, %v", errs, err)
	}
	// The revision that the first store remembers is no longer the last.
	if !settleOne(t, one, c, dedupe.Failed) {
		t.Error("a claim that was extended elsewhere is superseded")
	}
	if again := claimOne(t, other, "a", "n2"); again.State != dedupe.Fresh || again.Attempts != 1 || again.Age <= 0 {
		t.Errorf("after a failure: %+v", again)
	}
	if settleOne(t, one, c, dedupe.Succeeded) {
		t.Error("a superseded claim is settled")
	}
	// What is remembered as claimed is dead-lettering by now: that it cannot be
	// dead-lettered is a guess.
	c = claimOne(t, one, "b", "n3")
	if !settleOne(t, other, c, dedupe.GivenUp) || !settleOne(t, one, c, dedupe.DeadLettered) {
		t.Error("a claim that was given up elsewhere cannot be dead-lettered")
	}
	if n := len(one.claims.byNonce); n != 0 {
		t.Errorf("%d ended claims are remembered", n)
	}
}

// TestSettleBesideExtend: an owner's renewals and its settlement do not hurt each other.
func TestSettleBesideExtend(t *testing.T) {
	t.Parallel()
	s := newStore(t, natstest.Start(t, nil).Connect(t), nil)
	for i := range 30 {
		c := claimOne(t, s, fmt.Sprint(i), fmt.Sprint("n", i))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := s.Extend(t.Context(), []dedupe.Claim{c}, time.Minute, time.Hour); err != nil {
					t.Errorf("Extend: %v", err)
				}
			})
		}
		errs, err := s.Settle(t.Context(), []dedupe.Settlement{settlement(c, dedupe.Succeeded)})
		wg.Wait()
		if err != nil || errs[0] != nil {
			t.Fatalf("Settle beside Extend: %v, %v", errs, err)
		}
		if c := claimOne(t, s, fmt.Sprint(i), "later"); c.State != dedupe.Done {
			t.Fatalf("settled key is %v, want done", c.State)
		}
	}
}

func TestForeignValues(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	var log bytes.Buffer
	s := newStore(t, nc, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	held := claimOne(t, s, "garbage", "n0")
	for id, value := range map[string]string{"garbage": "hello", "empty": "", "newer": `{"v":2}`} {
		if err := nc.Publish(s.subject+eventKey(testKey(id)), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"garbage", "empty"} {
		if c := claimOne(t, s, id, "n1"); !errors.Is(c.Err, dedupe.ErrKeyRefused) || !errors.Is(c.Err, ErrForeignValue) {
			t.Errorf("claim of %s: %+v, want it refused", id, c)
		}
		if rs, err := s.Seen(t.Context(), []dedupe.Key{testKey(id)}); err != nil || rs[0].State != dedupe.Fresh {
			t.Errorf("%s is seen as %+v, %v, want fresh", id, rs, err)
		}
		if err := each(s.Reopen(t.Context(), []dedupe.Key{testKey(id)})); !errors.Is(err, ErrForeignValue) {
			t.Errorf("Reopen of %s: %v, want ErrForeignValue", id, err)
		}
	}
	if settleOne(t, s, held, dedupe.Succeeded) {
		t.Error("settled over a foreign value")
	}
	if c := claimOne(t, s, "newer", "n1"); c.State != dedupe.Held || c.Err != nil || c.HeldFor <= 0 {
		t.Errorf("claim of what a later version wrote: %+v, want held", c)
	}
	rs, err := s.Seen(t.Context(), []dedupe.Key{testKey("newer"), testKey("unknown")})
	if err != nil || rs[0].State != dedupe.Held || !errors.Is(rs[0].Err, errNewer) || rs[1].Err != nil {
		t.Errorf("Seen of what a later version wrote, and of another key: %+v, %v, want held with an error for the first", rs, err)
	}
	if err := each(s.Mark(t.Context(), []dedupe.Mark{{Key: testKey("garbage"), State: dedupe.Done, TTL: time.Hour}})); err != nil {
		t.Fatal(err)
	}
	if c := claimOne(t, s, "garbage", "n2"); c.State != dedupe.Done {
		t.Errorf("a mark over a foreign value: %v, want done", c.State)
	}
	if err := nc.Publish(s.subject+watermarkKey("g", "t"), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), "g", "t", dedupe.Watermark{}); !errors.Is(err, ErrForeignValue) {
		t.Errorf("Begin over a foreign value: %v, want ErrForeignValue", err)
	}
	if n := strings.Count(log.String(), "nats kv del"); n != 1 {
		t.Errorf("warned %d times, want once:\n%s", n, log.String())
	}
}

// TestOversize: what no message holds is refused for ever, and closes no connection.
func TestOversize(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	s := newStore(t, nc, nil)
	big, small := ask("big", "n1"), ask("small", "n2")
	big.Hash = make([]byte, 1<<20)
	cs, err := s.Claim(t.Context(), []dedupe.Request{big, small})
	if err != nil || !errors.Is(cs[0].Err, dedupe.ErrKeyRefused) || cs[1].State != dedupe.Fresh || cs[1].Err != nil {
		t.Errorf("Claim: %+v, %v, want the first refused, the second fresh", cs, err)
	}
	if n := nc.Stats().Reconnects; n != 0 {
		t.Errorf("%d reconnects", n)
	}
}

func TestHoldingsAreBounded(t *testing.T) {
	t.Parallel()
	h := newClaimCache()
	for i := range maxHoldings + 10 {
		h.rememberClaim("k", keyEntry{revision: 1, row: &keyRow{Owner: fmt.Sprint(i)}})
	}
	if len(h.byNonce) != maxHoldings {
		t.Errorf("%d claims are remembered, want %d", len(h.byNonce), maxHoldings)
	}
	h = newClaimCache()
	h.rememberClaim("k", keyEntry{revision: 5, row: &keyRow{Owner: "n"}})
	h.rememberClaim("k", keyEntry{revision: 4, row: &keyRow{Owner: "n"}})
	if e, ok := h.findClaim("n", "k"); !ok || e.revision != 5 {
		t.Errorf("remembered: %+v, want revision 5", e)
	}
	if _, ok := h.findClaim("n", "other"); ok {
		t.Error("another key's claim is found")
	}
}

// Leases that a frozen server ends before anybody notices are warned of, once.
func TestSlowPingsAreWarnedOf(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, nil)
	for name, c := range map[string]struct {
		options []nats.Option
		lease   time.Duration
		want    int
		says    string
	}{
		"the client's defaults": {nil, time.Minute, 1, "connect with jetstream.ConnectionOptions for this lease"},
		"for this lease":        {natsserver.ConnectionOptions(time.Minute), time.Minute, 0, ""},
		"too short for any":     {natsserver.ConnectionOptions(time.Second), time.Second, 1, "run again: raise the lease\" lease=1s at_least=3s"},
	} {
		var log bytes.Buffer
		o := bucketOptions()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		store := newStore(t, s.Connect(t, c.options...), o)
		for _, id := range []string{"1", "2"} {
			r := dedupe.Request{Key: dedupe.Key{Topic: "t", Group: "g", ID: id}, Nonce: id, Lease: c.lease, TTL: time.Hour}
			if _, err := store.Claim(t.Context(), []dedupe.Request{r}); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(log.String(), "frozen"); n != c.want || !strings.Contains(log.String(), c.says) {
			t.Errorf("%s: warned %d times, want %d: %s", name, n, c.want, log.String())
		}
	}
}
