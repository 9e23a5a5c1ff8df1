package protocol

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// TestFreezeAsksFirst: a process that was frozen for longer than a lease asks the store whose the
// event is, and goes on if it is still its own. It gives up when the store says so, or says nothing
// for a third of a lease.
func TestFreezeAsksFirst(t *testing.T) {
	t.Parallel()
	frozen := func(t *testing.T, ticked bool) (*rig, *Job) {
		t.Helper()
		r := newRig(t, nil)
		r.give(arrival("a", 1))
		r.claims(nil)
		j := r.mustRun("a")
		if ticked {
			r.pass(time.Second)
		}
		r.pass(5 * time.Minute)
		if cs := r.Cancels(); len(cs) != 0 {
			t.Fatalf("cancelled %+v before the store was asked", cs)
		}
		return r, j
	}
	t.Run("before the first tick", func(t *testing.T) {
		t.Parallel()
		frozen(t, false)
	})
	t.Run("still its own", func(t *testing.T) {
		t.Parallel()
		r, j := frozen(t, true)
		r.extendAll()
		r.pass(10 * time.Second)
		if cs := r.Cancels(); len(cs) != 0 {
			t.Fatalf("cancelled %+v although the lease was renewed", cs)
		}
		r.succeed(j)
		if as := r.Answers(); as[len(as)-1].Outcome != Handled {
			t.Errorf("answered %+v", as)
		}
		r.empty()
	})
	t.Run("superseded", func(t *testing.T) {
		t.Parallel()
		r, j := frozen(t, true)
		b := r.Renewals(r.now)
		r.Renewed(r.now, b, []error{dedupe.ErrSuperseded}, nil)
		if cs := r.Cancels(); len(cs) != 1 || cs[0].Job != j || !errors.Is(cs[0].Cause, ErrLeaseLost) {
			t.Fatalf("cancelled %+v", cs)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		r, _ := frozen(t, true)
		r.pass(9 * time.Second)
		if cs := r.Cancels(); len(cs) != 0 {
			t.Fatalf("cancelled %+v too early", cs)
		}
		r.pass(time.Second)
		if cs := r.Cancels(); len(cs) != 1 {
			t.Fatalf("cancelled %+v, want the run", cs)
		}
	})
}

// TestSettlingIsRenewed: a claim whose settlement does not get through is renewed meanwhile, so
// that nobody takes a finished event over.
func TestSettlingIsRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.give(arrival("a", 1))
	r.claims(nil)
	r.Ran(r.now, r.mustRun("a"), Verdict{})
	hung := r.Settlements(r.now)
	r.pass(10 * time.Second)
	b := r.Renewals(r.now)
	if len(b.Items) != 1 {
		t.Fatalf("renews %d claims, want the one whose mark hangs", len(b.Items))
	}
	r.Renewed(r.now, b, []error{dedupe.ErrSuperseded}, nil) // the mark was stored, and its answer is still to come
	r.Settled(r.now, hung, []error{nil}, nil)
	if as := r.Answers(); as[len(as)-1].Outcome != Handled || as[len(as)-1].Kind != Ack {
		t.Errorf("answered %+v", as)
	}
	r.empty()
}
