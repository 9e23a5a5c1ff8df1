package memory

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func open(tb testing.TB, o *Options) *Store {
	tb.Helper()
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// clock is a virtual one.
type clock struct{ at time.Time }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }
func key(id string) dedupe.Key        { return dedupe.Key{Topic: "t", Group: "g", ID: id} }
func mark(id string) dedupe.Mark {
	return dedupe.Mark{Key: key(id), State: dedupe.Done, TTL: time.Hour}
}

func ask(id, nonce string) dedupe.Request {
	return dedupe.Request{Key: key(id), Nonce: nonce, Lease: time.Minute, TTL: time.Hour}
}

func claimOne(tb testing.TB, s *Store, r dedupe.Request) dedupe.Claim {
	tb.Helper()
	cs, err := s.Claim(tb.Context(), []dedupe.Request{r})
	if err != nil {
		tb.Fatal(err)
	}
	return cs[0]
}

func settleOne(tb testing.TB, s *Store, x dedupe.Settlement) bool {
	tb.Helper()
	errs, err := s.Settle(tb.Context(), []dedupe.Settlement{x})
	if err != nil {
		tb.Fatal(err)
	}
	return errs[0] == nil
}

// each is nil when the store has carried out every item.
func each(errs []error, err error) error { return errors.Join(append(errs, err)...) }

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, math.MaxUint32 + 1} {
		_, err := New(&Options{MaxKeys: n})
		if err == nil || !strings.Contains(err.Error(), "Options.MaxKeys") || !strings.Contains(err.Error(), fmt.Sprint(n)) {
			t.Errorf("MaxKeys %d: %v, want an error that names field and value", n, err)
		}
	}
	if s := open(t, nil); s.max != DefaultMaxKeys {
		t.Errorf("bound of the default: %d, want %d", s.max, DefaultMaxKeys)
	}
}

// TestFullTakesWhatFits: of a batch that does not fit, what fits is carried out, and each of the
// others is told so.
func TestFullTakesWhatFits(t *testing.T) {
	t.Parallel()
	s := open(t, &Options{MaxKeys: 3})
	if err := each(s.Mark(t.Context(), []dedupe.Mark{mark("a"), mark("b")})); err != nil {
		t.Fatal(err)
	}
	rs := []dedupe.Request{ask("c", "1"), ask("d", "2"), ask("c", "3"), ask("a", "4"), ask("e", "5"), ask("b", "6")}
	cs, err := s.Claim(t.Context(), rs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []dedupe.State{dedupe.Fresh, dedupe.Fresh, dedupe.Held, dedupe.Done, dedupe.Fresh, dedupe.Done} {
		full := i == 1 || i == 4
		if cs[i].State != want || errors.Is(cs[i].Err, dedupe.ErrFull) != full || cs[i].Key != rs[i].Key || cs[i].Nonce != rs[i].Nonce {
			t.Errorf("claim %d: %+v, want %v; full: %t", i, cs[i], want, full)
		}
	}
	if err := cs[1].Err; err == nil || !strings.Contains(err.Error(), "Options.MaxKeys") {
		t.Errorf("%v, want what to do about it", err)
	}
	errs, err := s.Mark(t.Context(), []dedupe.Mark{mark("d"), mark("c"), mark("e"), mark("a")})
	if err != nil || !errors.Is(errs[0], dedupe.ErrFull) || errs[1] != nil || !errors.Is(errs[2], dedupe.ErrFull) || errs[3] != nil {
		t.Errorf("marks beside a full store's: %v, %v", errs, err)
	}
	if s.table.rowCount() != 3 {
		t.Errorf("%d keys are kept, want 3", s.table.rowCount())
	}
}

// TestFullSweeps: what has expired makes room at once, all of it, and only it.
func TestFullSweeps(t *testing.T) {
	t.Parallel()
	const n = 5000
	var c clock
	s := open(t, &Options{MaxKeys: n, Now: c.now})
	var marks []dedupe.Mark
	for i := range n {
		m := mark(fmt.Sprint(i))
		if i%5 == 0 {
			m.TTL = time.Minute
		}
		marks = append(marks, m)
	}
	if err := each(s.Mark(t.Context(), marks)); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	marks = marks[:0]
	for i := range n / 5 {
		marks = append(marks, mark(fmt.Sprint("new-", i)))
	}
	if err := each(s.Mark(t.Context(), marks)); err != nil {
		t.Fatalf("as many as have expired: %v", err)
	}
	if err := each(s.Mark(t.Context(), []dedupe.Mark{mark("over")})); !errors.Is(err, dedupe.ErrFull) {
		t.Errorf("one more: %v, want ErrFull", err)
	}
	for i := range n {
		rs, err := s.Seen(t.Context(), []dedupe.Key{key(fmt.Sprint(i))})
		if err != nil || (rs[0].State == dedupe.Done) == (i%5 == 0) {
			t.Fatalf("key %d: %v, %v", i, rs[0].State, err)
		}
	}
}

// TestSweeps: expired rows go in the course of a few writes, with all that belongs to them, and
// their slots are used again.
func TestSweeps(t *testing.T) {
	t.Parallel()
	const n = 3000
	var c clock
	s := open(t, &Options{Now: c.now})
	for round := range 4 {
		var marks []dedupe.Mark
		for i := range n {
			m := mark(fmt.Sprintf("%d-%d", round, i))
			m.Hash = []byte(strings.Repeat("h", 40))
			marks = append(marks, m)
		}
		if err := each(s.Mark(t.Context(), marks)); err != nil {
			t.Fatal(err)
		}
		c.pass(time.Hour)
		for i := range n / chunkRows * 2 {
			if err := each(s.Mark(t.Context(), []dedupe.Mark{mark(fmt.Sprint("stays-", i%5))})); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.table.rowCount(); got != 5 {
			t.Errorf("round %d: %d rows are left of %d that have expired and 5", round, got, n)
		}
	}
	if len(s.table.extras) != 0 {
		t.Errorf("%d rows are gone, and their long hashes are not", len(s.table.extras))
	}
	if most := (n + 5 + chunkRows) / chunkRows; len(s.table.chunks) > most+1 {
		t.Errorf("%d chunks, want slots to be used again: at most %d", len(s.table.chunks), most+1)
	}
}

// TestDeadForgetsLetter: a dead letter's reason is not kept for days, its long hash is.
func TestDeadForgetsLetter(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	long := []byte(strings.Repeat("h", 99))
	for id, hash := range map[string][]byte{"short": []byte("h"), "long": long} {
		r := ask(id, id)
		r.Hash = hash
		x := dedupe.Settlement{Claim: claimOne(t, s, r), Outcome: dedupe.GivenUp, Reason: "why", Letter: "l", Lease: 1, TTL: time.Hour}
		if !settleOne(t, s, x) {
			t.Fatal("given up: superseded")
		}
		x.Outcome = dedupe.DeadLettered
		if !settleOne(t, s, x) {
			t.Fatal("dead-lettered: superseded")
		}
		c := claimOne(t, s, r)
		if c.State != dedupe.Dead || !bytes.Equal(c.Hash, hash) || c.Reason != "" {
			t.Errorf("%s: %+v, want dead, its hash kept and its reason not", id, c)
		}
	}
	if len(s.table.extras) != 1 {
		t.Errorf("%d rows have more than a row, want 1", len(s.table.extras))
	}
}

// TestReopenedIsYoung: what is redriven gets its time again.
func TestReopenedIsYoung(t *testing.T) {
	t.Parallel()
	var c clock
	s := open(t, &Options{Now: c.now})
	m := mark("a")
	m.State = dedupe.Dead
	if err := each(s.Mark(t.Context(), []dedupe.Mark{m})); err != nil {
		t.Fatal(err)
	}
	c.pass(30 * time.Minute)
	if err := each(s.Reopen(t.Context(), []dedupe.Key{m.Key})); err != nil {
		t.Fatal(err)
	}
	c.pass(20 * time.Minute)
	if got := claimOne(t, s, ask("a", "1")); got.State != dedupe.Fresh || got.Age != 0 {
		t.Errorf("claimed first since it was reopened: %v, age %v, want fresh and 0", got.State, got.Age)
	}
	c.pass(30 * time.Second)
	if got := claimOne(t, s, ask("a", "1")); got.Age != 30*time.Second {
		t.Errorf("age %v, want 30s", got.Age)
	}
}

// TestDelayedClaim: a request that arrives again after its claim was set free wins nothing.
func TestDelayedClaim(t *testing.T) {
	t.Parallel()
	var c clock
	s := open(t, &Options{Now: c.now})
	x := dedupe.Settlement{Claim: claimOne(t, s, ask("a", "1")), Outcome: dedupe.Failed, After: time.Second, TTL: time.Hour}
	if !settleOne(t, s, x) {
		t.Fatal("its settlement did not match")
	}
	c.pass(2 * time.Second)
	if got := claimOne(t, s, ask("a", "1")); got.State != dedupe.Held || got.HeldFor != 0 {
		t.Errorf("its request again: %v for %v, want held for 0", got.State, got.HeldFor)
	}
	if !settleOne(t, s, x) {
		t.Error("a repeat of its settlement did not match")
	}
	c.pass(2 * time.Second)
	if got := claimOne(t, s, ask("a", "2")); got.State != dedupe.Fresh || got.Attempts != 1 {
		t.Errorf("the next request: %v after %d attempts, want fresh after 1", got.State, got.Attempts)
	}
}

// TestDeterministic: the same calls under the same clock have the same answers.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	run := func() (all []dedupe.Claim) {
		var c clock
		s := open(t, &Options{Now: c.now, MaxKeys: 50})
		for i := range 2000 {
			c.pass(time.Duration(i%7) * 10 * time.Second)
			cs, err := s.Claim(t.Context(), []dedupe.Request{ask(fmt.Sprint(i%60), fmt.Sprint(i))})
			if err != nil {
				cs = []dedupe.Claim{{Reason: err.Error()}}
			}
			all = append(all, cs...)
			if i%3 == 0 && err == nil {
				settleOne(t, s, dedupe.Settlement{Claim: cs[0], Outcome: dedupe.Outcome(i % 5), TTL: time.Hour, Lease: 1})
			}
		}
		return all
	}
	if !reflect.DeepEqual(run(), run()) { //nolint:govet // the errors are the same sentinels
		t.Error("two runs of the same calls differ")
	}
}

// TestExpiresOnTheDot: a lease, a delay and a TTL are over when they are over, not a nanosecond
// sooner or later.
func TestExpiresOnTheDot(t *testing.T) {
	t.Parallel()
	var c clock
	s := open(t, &Options{Now: c.now})
	want := func(nonce string, want dedupe.State) dedupe.Claim {
		t.Helper()
		got := claimOne(t, s, ask("a", nonce))
		if got.State != want {
			t.Errorf("claim %s: %v, want %v", nonce, got.State, want)
		}
		return got
	}
	want("lease", dedupe.Fresh)
	c.pass(time.Minute - 1)
	want("too soon", dedupe.Held)
	c.pass(1)
	got := want("lapsed", dedupe.Fresh)
	settleOne(t, s, dedupe.Settlement{Claim: got, Outcome: dedupe.Failed, After: time.Minute, TTL: time.Hour})
	c.pass(time.Minute - 1)
	want("not due", dedupe.Held)
	c.pass(1)
	got = want("due", dedupe.Fresh)
	settleOne(t, s, dedupe.Settlement{Claim: got, Outcome: dedupe.Succeeded, TTL: time.Hour})
	c.pass(time.Hour - 1)
	want("kept", dedupe.Done)
	c.pass(1)
	want("expired", dedupe.Fresh)
}

// TestReusedRowIsClean: nothing of an expired row is left in the one that takes its place.
func TestReusedRowIsClean(t *testing.T) {
	t.Parallel()
	var c clock
	s := open(t, &Options{Now: c.now})
	r := ask("a", "1")
	r.Hash = []byte(strings.Repeat("h", 40))
	x := dedupe.Settlement{Claim: claimOne(t, s, r), Outcome: dedupe.GivenUp, Reason: "why", CountAttempt: true, Lease: 1, TTL: time.Hour}
	settleOne(t, s, x)
	c.pass(time.Hour)
	got := claimOne(t, s, ask("a", "2"))
	if got.State != dedupe.Fresh || got.Attempts != 0 || got.Age != 0 || len(got.Hash) > 0 || got.Token <= x.Claim.Token {
		t.Errorf("claimed again: %+v", got)
	}
	if len(s.table.extras) != 0 {
		t.Error("the old row's long hash and reason are still there")
	}
}

// TestNoEnd: durations that reach beyond the end of time do not come out in the past.
func TestNoEnd(t *testing.T) {
	t.Parallel()
	var c clock
	s := open(t, &Options{Now: c.now})
	c.pass(time.Hour)
	r := ask("a", "1")
	r.Lease, r.TTL = math.MaxInt64-1, math.MaxInt64
	claimOne(t, s, r)
	if got := claimOne(t, s, ask("a", "2")); got.State != dedupe.Held {
		t.Errorf("claimed for ever: %v, want held", got.State)
	}
}

// TestCallersKeepTheirBytes: what a caller does to a slice that it gave or got changes nothing.
func TestCallersKeepTheirBytes(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	for id, n := range map[string]int{"short": 32, "long": 80} {
		r := ask(id, "1")
		r.Hash = []byte(strings.Repeat("h", n))
		claimOne(t, s, r)
		r.Hash[0]++
		none := ask(id, "1")
		got := claimOne(t, s, none)
		got.Hash[1]++
		rs, err := s.Seen(t.Context(), []dedupe.Key{r.Key})
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Repeat("h", n); string(rs[0].Hash) != want {
			t.Errorf("%s: hash %q, want %q", id, rs[0].Hash, want)
		}
	}
}

// TestBytesPerKey holds the package's word, at a number of keys at which the map has just grown
// and is emptiest.
func TestBytesPerKey(t *testing.T) { // not parallel: it measures the heap
	per := bytesPerKey(t, 60_000)
	t.Logf("%.1f bytes a key", per)
	if per > 150 {
		t.Errorf("%.1f bytes a key, want at most 150", per)
	}
}
