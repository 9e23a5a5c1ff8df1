package dedupe_test

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

func TestPhaseNames(t *testing.T) {
	t.Parallel()
	for p := dedupe.PhaseClaimed; p <= dedupe.PhaseDead; p++ {
		if got, ok := dedupe.ParsePhase(p.String()); got != p || !ok {
			t.Errorf("%v is read back as %v, %t", p, got, ok)
		}
	}
	for _, name := range []string{"", "absent", "unknown", "buried"} {
		if p, ok := dedupe.ParsePhase(name); ok {
			t.Errorf("%q is the phase %v", name, p)
		}
	}
	if got := (dedupe.PhaseDead + 1).String(); got != "unknown" {
		t.Errorf("a phase that there is not: %q", got)
	}
}

func TestOutcomesLeadFromPhaseToPhase(t *testing.T) {
	t.Parallel()
	for o, want := range map[dedupe.Outcome][2]dedupe.Phase{
		dedupe.Succeeded:    {dedupe.PhaseClaimed, dedupe.PhaseDone},
		dedupe.Failed:       {dedupe.PhaseClaimed, dedupe.PhaseFree},
		dedupe.NotBegun:     {dedupe.PhaseClaimed, dedupe.PhaseFree},
		dedupe.GivenUp:      {dedupe.PhaseClaimed, dedupe.PhaseDeadLettering},
		dedupe.DeadLettered: {dedupe.PhaseDeadLettering, dedupe.PhaseDead},
	} {
		if got := [2]dedupe.Phase{o.From(), o.To()}; got != want {
			t.Errorf("%v leads from and to %v, want %v", o, got, want)
		}
		for p := dedupe.PhaseAbsent; p <= dedupe.PhaseDead; p++ {
			if got := o.HasLedTo(p); got != (p == want[1] || o == dedupe.GivenUp && p == dedupe.PhaseDead) {
				t.Errorf("%v has led to %v: %t", o, p, got)
			}
		}
		for _, count := range []bool{false, true} {
			s := dedupe.Settlement{Outcome: o, CountAttempt: count}
			if got := s.AddsAttempt(); got != (o == dedupe.Failed || o == dedupe.GivenUp && count) {
				t.Errorf("%v counts an attempt: %t (CountAttempt is %t)", o, got, count)
			}
		}
	}
}

func TestDecideClaim(t *testing.T) {
	t.Parallel()
	one, two := dedupe.NewHash("bytes", []byte("1")), dedupe.NewHash("bytes", []byte("2"))
	const left, over = time.Second, time.Duration(0)
	for _, c := range []struct {
		phase dedupe.Phase
		mine  bool
		kept  []byte
		left  time.Duration
		step  dedupe.ClaimStep
		state dedupe.State
	}{
		{dedupe.PhaseAbsent, false, nil, over, dedupe.CreateRow, dedupe.Fresh},
		{dedupe.PhaseClaimed, false, one, left, dedupe.LeaveRow, dedupe.Held},
		{dedupe.PhaseClaimed, false, one, over, dedupe.TakeOver, dedupe.Fresh},
		{dedupe.PhaseClaimed, true, one, left, dedupe.RenewClaim, dedupe.Fresh},
		{dedupe.PhaseClaimed, true, one, over, dedupe.RenewClaim, dedupe.Fresh},
		{dedupe.PhaseClaimed, false, two, over, dedupe.LeaveRow, dedupe.Reused},
		{dedupe.PhaseClaimed, true, two, left, dedupe.LeaveRow, dedupe.Reused},
		{dedupe.PhaseFree, false, one, left, dedupe.LeaveRow, dedupe.Held},
		{dedupe.PhaseFree, false, one, over, dedupe.TakeOver, dedupe.Fresh},
		{dedupe.PhaseFree, true, one, over, dedupe.LeaveRow, dedupe.Held},
		{dedupe.PhaseDeadLettering, false, nil, left, dedupe.LeaveRow, dedupe.Held},
		{dedupe.PhaseDeadLettering, false, nil, over, dedupe.TakeOver, dedupe.DeadLettering},
		{dedupe.PhaseDeadLettering, true, nil, over, dedupe.RenewClaim, dedupe.DeadLettering},
		{dedupe.PhaseDone, true, one, left, dedupe.LeaveRow, dedupe.Done},
		{dedupe.PhaseDone, false, two, over, dedupe.LeaveRow, dedupe.Reused},
		{dedupe.PhaseDead, false, nil, over, dedupe.LeaveRow, dedupe.Dead},
	} {
		if step, state := dedupe.DecideClaim(c.phase, c.mine, c.kept, c.left, one); step != c.step || state != c.state {
			t.Errorf("%v (mine %t, hash %s, left %v): step %d, %v; want %d, %v", c.phase, c.mine, c.kept, c.left, step, state, c.step, c.state)
		}
	}
}
