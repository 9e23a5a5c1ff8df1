package protocol

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("store away")

// rig drives one Machine by hand, with a clock that stands still unless it is told to pass.
type rig struct {
	*testing.T
	*Machine
	now time.Time
}

// newRig has a lease and a deadline of 30 s and two slots.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	cfg := Config{
		Group: "g", Owner: "p1:", Concurrency: 2, MaxAttempts: 3, MaxCrashes: 5,
		Backoff: Backoff{Base: time.Second, Max: time.Minute}, Lease: 30 * time.Second, AckWait: 30 * time.Second,
		RunLimit: 15 * time.Minute, TTL: 7 * 24 * time.Hour, Rand: func() float64 { return 0.5 },
	}
	if change != nil {
		change(&cfg)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &rig{T: t, Machine: New(cfg, now), now: now}
}

func (r *rig) pass(d time.Duration) {
	r.now = r.now.Add(d)
	r.Tick(r.now)
}

// arrival is event id, whose payload is its hash, at a sequence.
func arrival(id string, seq uint64, change ...func(*Arrival)) Arrival {
	at := bus.Position{Stream: "s@1", Sequence: seq, Stored: time.Unix(int64(seq), 0).UTC()}
	a := Arrival{
		Delivery: bus.NewDelivery(bus.Event{ID: id, Topic: "t"}, 1, at, nil),
		Key:      dedupe.Key{Topic: "t", Group: "g", ID: id}, Hash: []byte("one"),
	}
	for _, f := range change {
		f(&a)
	}
	return a
}

func ordered(key string) func(*Arrival) { return func(a *Arrival) { a.Order = key } }

func hashed(hash string) func(*Arrival) { return func(a *Arrival) { a.Hash = []byte(hash) } }

func arrivals(n int) func(*Arrival) { return func(a *Arrival) { a.Delivery.Arrivals = n } }

// give hands events to the Machine, as a fetch would.
func (r *rig) give(as ...Arrival) {
	r.Helper()
	r.Fetched(r.now, as)
}

// claims answers the next batch of claims, each as its id says; fresh where it says nothing.
func (r *rig) claims(answers map[string]dedupe.Claim) []string {
	r.Helper()
	b := r.Claims(r.now)
	cs, ids := make([]dedupe.Claim, len(b.Items)), make([]string, len(b.Items))
	for i, q := range b.Items {
		id := q.Key.ID + q.Key.Scope
		c, ok := answers[id]
		if !ok {
			c = dedupe.Claim{State: dedupe.Fresh, HeldFor: q.Lease, Token: 1}
		}
		c.Key, c.Nonce = q.Key, q.Nonce
		cs[i], ids[i] = c, id
	}
	r.Claimed(r.now, b, cs, nil)
	return ids
}

// run has the next job begin; nil if there is none.
func (r *rig) run() *Job {
	r.Helper()
	j := r.Next(r.now)
	if j == nil {
		return nil
	}
	if !r.Begin(r.now, j) {
		r.Fatalf("%s does not begin", j.Key().ID)
	}
	return j
}

func (r *rig) mustRun(id string) *Job {
	r.Helper()
	j := r.run()
	if j == nil || j.Key().ID != id {
		r.Fatalf("%v begins, want %s", name(j), id)
	}
	return j
}

func name(j *Job) string {
	if j == nil {
		return "nothing"
	}
	return j.Key().ID
}

// settle answers the next batch of settlements and returns it.
func (r *rig) settle(ok bool) []dedupe.Settlement {
	r.Helper()
	b := r.Settlements(r.now)
	errs := make([]error, len(b.Items))
	for i := range errs {
		if !ok {
			errs[i] = dedupe.ErrSuperseded
		}
	}
	r.Settled(r.now, b, errs, nil)
	return b.Items
}

// settleOne wants one settlement of the outcome, and stores it.
func (r *rig) settleOne(want dedupe.Outcome) dedupe.Settlement {
	r.Helper()
	ss := r.settle(true)
	if len(ss) != 1 || ss[0].Outcome != want {
		r.Fatalf("settlements %+v, want one: %v", ss, want)
	}
	return ss[0]
}

// want holds what the bus is told against one line per answer: event, kind, outcome.
func (r *rig) want(lines ...string) []Answer {
	r.Helper()
	as := r.Answers()
	got := make([]string, len(as))
	for i, a := range as {
		got[i] = fmt.Sprintf("%s %s %s", a.Delivery.Event.ID, kinds[a.Kind], outcomes[a.Outcome])
	}
	if fmt.Sprint(got) != fmt.Sprint(lines) {
		r.Fatalf("the bus is told %q, want %q", got, lines)
	}
	return as
}

var kinds = [...]string{None: "nothing", Ack: "ack", Nak: "nak", ExtendAckWait: "progress"}

var outcomes = [...]string{
	Handled: "handled", Duplicate: "duplicate", Skipped: "skipped", Failed: "failed", Snoozed: "snoozed", Deferred: "deferred", Dead: "dead", DeadLetterPending: "dead_letter_pending",
	Held: "held", GivenBack: "given back", Lost: "lost", Unresolved: "unresolved", Working: "working",
}

// empty wants nothing left in flight.
func (r *rig) empty() {
	r.Helper()
	if err := r.Audit(); err != nil {
		r.Error(err)
	}
	if s := r.Stats(); s.InFlight != 0 || s.Running != 0 {
		r.Errorf("%d are in flight and %d run, want none", s.InFlight, s.Running)
	}
}

// succeed takes one event through.
func (r *rig) succeed(j *Job) {
	r.Helper()
	r.Ran(r.now, j, Verdict{})
	r.settleOne(dedupe.Succeeded)
}

func fails(text string) Verdict { return Verdict{Kind: Failure, Error: text} }

// TestHandled: an event is claimed, run, marked, and only then acknowledged.
func TestHandled(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.want()
	r.claims(nil)
	j := r.mustRun("a")
	if j.Attempt() != 1 || j.Token() != 1 || j.Event().ID != "a" {
		t.Errorf("attempt %d under token %d of %q", j.Attempt(), j.Token(), j.Event().ID)
	}
	r.Ran(r.now, j, Verdict{})
	r.want()
	if n, counted := r.Unmarked(), r.Stats().Unmarked; n != 1 || counted != 1 {
		t.Errorf("%d unmarked, %d counted, want 1", n, counted)
	}
	r.settleOne(dedupe.Succeeded)
	r.want("a ack handled")
	if n := r.Stats().Unmarked; n != 0 {
		t.Errorf("%d unmarked after the mark", n)
	}
	r.empty()
}

// TestKnown: what is done, dead, held, covered or another group's never runs.
func TestKnown(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		c.Concurrency = 9
		c.Watermark = bus.Position{Stream: "s@1", Sequence: 5, Stored: time.Unix(5, 0)}
	})
	r.give(arrival("covered", 5), arrival("reborn", 4, func(a *Arrival) { a.Delivery.At.Stored = time.Unix(99, 0) }),
		arrival("foreign", 6, func(a *Arrival) { a.Foreign = true }), arrival("done", 7), arrival("dead", 8), arrival("held", 9, arrivals(3)),
		arrival("soon", 10))
	r.want("covered ack duplicate", "foreign ack skipped")
	r.claims(map[string]dedupe.Claim{
		"done": {State: dedupe.Done}, "dead": {State: dedupe.Dead},
		"held": {State: dedupe.Held, HeldFor: time.Hour}, "soon": {State: dedupe.Held, HeldFor: time.Millisecond},
	})
	as := r.want("done ack duplicate", "dead ack duplicate", "held nak held", "soon nak held")
	if as[2].After != 200*time.Millisecond || as[3].After != time.Millisecond {
		t.Errorf("nacked for %v and %v, want 200ms (third arrival) and 1ms (what is left)", as[2].After, as[3].After)
	}
	r.mustRun("reborn")
}

// TestRepeatedClaim: a claim whose answer was lost is repeated under its nonce, later and later;
// another has another.
func TestRepeatedClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	first := r.Claims(r.now)
	r.give(arrival("b", 2))
	r.Claimed(r.now, first, nil, errAway)
	if b := r.Claims(r.now); !b.Empty() {
		t.Errorf("%d claims at once after an error, want none", len(b.Items))
	}
	if store, _ := r.Trouble(); !errors.Is(store, errAway) {
		t.Errorf("trouble %v, want %v", store, errAway)
	}
	r.pass(50 * time.Millisecond)
	again := r.Claims(r.now)
	if len(again.Items) != 2 || again.Items[0].Nonce != first.Items[0].Nonce || again.Items[1].Nonce == first.Items[0].Nonce {
		t.Fatalf("repeated: %+v, first: %+v", again.Items, first.Items)
	}
	r.Claimed(r.now, again, nil, errAway)
	r.pass(50 * time.Millisecond)
	if b := r.Claims(r.now); !b.Empty() {
		t.Error("repeated as soon as the first time")
	}
	r.pass(50 * time.Millisecond)
	r.claims(nil)
	if store, letter := r.Trouble(); store != nil || letter != nil {
		t.Errorf("trouble %v, %v after an answer", store, letter)
	}
}

// TestRepeatedSettlement: a success is marked until the store has taken it, however long that is.
func TestRepeatedSettlement(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), Verdict{})
	nonce := ""
	for range 40 {
		b := r.Settlements(r.now)
		for _, s := range b.Items {
			if nonce != "" && s.Claim.Nonce != nonce {
				t.Fatalf("marked under %q, then under %q", nonce, s.Claim.Nonce)
			}
			nonce = s.Claim.Nonce
		}
		r.Settled(r.now, b, nil, errAway)
		r.pass(5 * time.Second)
	}
	r.give(arrival("a", 1, arrivals(2)))
	if b := r.Claims(r.now); !b.Empty() {
		t.Error("a redelivery is claimed while the success is not marked")
	}
	r.Answers()
	r.settleOne(dedupe.Succeeded)
	r.want("a ack handled", "a ack duplicate")
	r.empty()
}

// TestLost: a lost owner says nothing; a copy that is still its own tries again.
func TestLost(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"settled", "extended"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.give(arrival("a", 1))
			r.claims(nil)
			j := r.mustRun("a")
			r.give(arrival("a", 9))
			if how == "extended" {
				r.pass(10 * time.Second)
				r.want("a progress working", "a progress working")
				b := r.Renewals(r.now)
				r.Renewed(r.now, b, []error{dedupe.ErrSuperseded}, nil)
				if cs := r.Cancels(); len(cs) != 1 || !errors.Is(cs[0].Cause, ErrLeaseLost) {
					t.Fatalf("cancelled: %+v, want the run, for its lease", cs)
				}
				r.pass(10 * time.Second)
				r.want()
				r.Ran(r.now, j, Verdict{})
			} else {
				r.Ran(r.now, j, Verdict{})
				r.settle(false)
			}
			r.want("a nothing lost")
			if ids := r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Done}}); len(ids) != 1 {
				t.Fatalf("claimed %v, want the copy", ids)
			}
			r.want("a ack duplicate")
			r.empty()
		})
	}
}

// TestStale: a delivery that is overdue is told nothing but an ack.
func TestStale(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("fails", 1), arrival("works", 2))
	r.claims(nil)
	fail, work := r.mustRun("fails"), r.mustRun("works")
	r.now = r.now.Add(31 * time.Second) // frozen: no tick
	r.Ran(r.now, fail, fails("no"))
	r.Ran(r.now, work, Verdict{})
	r.settle(true)
	r.want("fails nothing failed", "works ack handled")
}

// TestDeadlines: deadline and lease are renewed at a third of their length, and the lease counts
// from when it was asked for.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	b := r.Claims(r.now)
	sent := r.now
	r.pass(9 * time.Second) // the answer takes its time
	r.Claimed(r.now, b, []dedupe.Claim{{Key: b.Items[0].Key, Nonce: b.Items[0].Nonce, HeldFor: 30 * time.Second}}, nil)
	j := r.mustRun("a")
	r.want()
	r.pass(time.Second)
	r.want("a progress working")
	e := r.Renewals(r.now)
	if len(e.Items) != 1 {
		t.Fatalf("%d renewals 10s after the claim was sent, want 1", len(e.Items))
	}
	r.pass(5 * time.Second)
	if again := r.Renewals(r.now); !again.Empty() {
		t.Error("renewed again while the call is under way")
	}
	r.Renewed(r.now, e, nil, errAway)
	r.pass(50 * time.Millisecond)
	if again := r.Renewals(r.now); again.Empty() {
		t.Error("a renewal that failed is not repeated")
	}
	for r.now.Add(5 * time.Second).Before(sent.Add(30 * time.Second)) {
		r.pass(5 * time.Second)
	}
	r.pass(sent.Add(30*time.Second - 1).Sub(r.now))
	if cs := r.Cancels(); len(cs) != 0 {
		t.Fatalf("cancelled before the lease is over: %+v", cs)
	}
	r.pass(1)
	if cs := r.Cancels(); len(cs) != 1 || cs[0].Job != j || !errors.Is(cs[0].Cause, ErrLeaseLost) {
		t.Fatalf("cancelled: %+v, want the run, for its lease", cs)
	}
	r.Ran(r.now, j, fails("cancelled"))
	r.settleOne(dedupe.NotBegun) // the row is still its own: no attempt
}

// TestThird: no run begins with less than a third of its lease left.
func TestThird(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	r.now = r.now.Add(20*time.Second + 1)
	if j := r.Next(r.now); j != nil {
		t.Fatal("begins with less than a third left")
	}
	r.now = r.now.Add(-1)
	j := r.Next(r.now)
	if j == nil {
		t.Fatal("does not begin with a third left")
	}
	r.now = r.now.Add(1)
	if r.Begin(r.now, j) {
		t.Fatal("begins after waiting at the gate, with less than a third left")
	}
	r.Tick(r.now)
	e := r.Renewals(r.now)
	r.Renewed(r.now, e, []error{nil}, nil)
	r.mustRun("a")
}

// TestShortClaim: what the store says is left counts, if it is less than the lease.
func TestShortClaim(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, HeldFor: 9 * time.Second}})
	if j := r.Next(r.now); j != nil {
		t.Error("begins with 9s of a lease of 30s")
	}
}
