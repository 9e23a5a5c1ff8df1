package protocol

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// transactional runs for at most 30 s, and commits in 10 s, under a lease of 30 s.
func transactional(c *Config) {
	c.RunLimit, c.Commit, c.Lease = 30*time.Second, 10*time.Second, 30*time.Second
}

// TestTransactVerdicts: what the end of a run that is a transaction makes of its claim and
// its delivery.
func TestTransactVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		verdict Verdict
		settled dedupe.Outcome
		told    string
	}{
		"committed":  {verdict: Verdict{}, told: "a ack handled"},
		"superseded": {verdict: Verdict{Kind: Superseded}, told: "a nothing lost"},
		"unknown":    {verdict: Verdict{Kind: Unknown}, told: "a nothing unresolved"},
		"unbegun":    {verdict: Verdict{Kind: NotBegun}, settled: dedupe.NotBegun, told: "a nak given back"},
		"conflicted": {verdict: Verdict{Kind: Conflicted}, settled: dedupe.NotBegun, told: "a nak given back"},
		"failed":     {verdict: fails("no"), settled: dedupe.Failed, told: "a nak failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, transactional)
			r.give(arrival("a", 1))
			r.claims(nil)
			r.Ran(r.now, r.mustRun("a"), c.verdict)
			if c.settled != 0 {
				r.settleOne(c.settled)
			} else if ss := r.settle(true); len(ss) > 0 {
				t.Errorf("settled %+v", ss)
			}
			r.want(c.told)
			r.empty()
		})
	}
}

// TestTransactCommitWins: what is committed is acknowledged, also when the claim seems lost.
func TestTransactCommitWins(t *testing.T) {
	t.Parallel()
	r := newRig(t, transactional)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	r.pass(31 * time.Second)
	if cs := r.Cancels(); len(cs) != 1 {
		t.Fatalf("%d cancelled at the run limit", len(cs))
	}
	r.Answers()
	r.Ran(r.now, j, Verdict{}) // its commit had begun
	r.want("a ack handled")
	r.empty()
}

// TestTransactLease: a run has its claim renewed for a whole run and its commit as it begins, waits
// for a renewal that is under way, and is not renewed by the Machine.
func TestTransactLease(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		transactional(c)
		c.Concurrency = 1
	})
	r.give(arrival("a", 1), arrival("b", 2))
	r.claims(nil)
	j := r.mustRun("a")
	if c := j.Claim(r.now); c.HeldFor != 40*time.Second || c.Nonce == "" {
		t.Errorf("the claim is %+v", c)
	}
	r.pass(9 * time.Second)
	if b := r.Renewals(r.now); !b.Empty() {
		t.Errorf("%d claims are renewed too early", len(b.Items))
	}
	r.pass(2 * time.Second)
	b := r.Renewals(r.now)
	if len(b.Items) != 1 || b.Items[0].Key.ID != "b" {
		t.Fatalf("renewed is %+v, want b alone", b.Items)
	}
	r.Ran(r.now, j, Verdict{})
	if j := r.run(); j != nil {
		t.Errorf("%s begins while its claim is being renewed", name(j))
	}
	r.Renewed(r.now, b, []error{nil}, nil)
	if c := r.mustRun("b").Claim(r.now); c.HeldFor != 40*time.Second {
		t.Errorf("%v of the lease are left as it begins", c.HeldFor)
	}
}

// TestTransactRunsBeyondTheLease: a run is not cancelled before its limit, which may be longer
// than the lease.
func TestTransactRunsBeyondTheLease(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) {
		transactional(c)
		c.Lease = 6 * time.Second
	})
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	for range 29 {
		r.pass(time.Second)
	}
	if cs := r.Cancels(); len(cs) > 0 {
		t.Errorf("cancelled within its run limit: %v", cs[0].Cause)
	}
	r.Answers()
	r.Ran(r.now, j, Verdict{})
	r.want("a ack handled")
	r.empty()
}

// TestTransactTooLate: with less than a third of the lease ahead it waits, for its claim may be
// another's before it is renewed.
func TestTransactTooLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, transactional)
	r.give(arrival("a", 1))
	r.claims(map[string]dedupe.Claim{"a": {State: dedupe.Fresh, HeldFor: 9 * time.Second, Token: 1}})
	if j := r.run(); j != nil {
		t.Error("began with 9 s left of a lease of 30 s")
	}
}

// TestTransactStuck: a handler that does not return locks its row; nothing is settled, and it is
// not waited for.
func TestTransactStuck(t *testing.T) {
	t.Parallel()
	r := newRig(t, transactional)
	r.give(arrival("a", 1))
	r.claims(nil)
	j := r.mustRun("a")
	for range 3 {
		r.pass(30 * time.Second)
		r.Answers()
	}
	if ss := r.settle(true); len(ss) > 0 {
		t.Errorf("settled %+v", ss)
	}
	if r.Stuck() != 1 || r.Stats().Lost != 1 {
		t.Errorf("%d are stuck, %+v", r.Stuck(), r.Stats())
	}
	r.Ran(r.now, j, fails("late"))
	r.want()
	r.empty()
}
