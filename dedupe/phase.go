package dedupe

import "time"

// Phase is where a key stands in a Claimer, as its row has it: the nodes of the diagram in the
// documentation of this package.
type Phase uint8

// The phases of a key.
const (
	// PhaseAbsent: there is no row, or its TTL is over.
	PhaseAbsent Phase = iota
	// PhaseClaimed: its owner may run the handler, until the lease is over.
	PhaseClaimed
	// PhaseFree: it has no owner, and can be claimed when it is due.
	PhaseFree
	// PhaseDeadLettering: given up; its owner stores the dead letter, until the lease is over.
	PhaseDeadLettering
	// PhaseDone: the handler succeeded.
	PhaseDone
	// PhaseDead: given up, and the dead letter is stored.
	PhaseDead
)

var phaseNames = []string{"absent", "claimed", "free", "dead-lettering", "done", "dead"}

// String returns the phase's name in lower case, as rows have it.
func (p Phase) String() string { return nameOf(p, phaseNames) }

func nameOf[T ~uint8](value T, names []string) string {
	if int(value) < len(names) {
		return names[value]
	}
	return "unknown"
}

// ParsePhase returns the phase of that name. It is not ok with "absent", which no row is, and with
// the names of later versions.
func ParsePhase(name string) (p Phase, ok bool) {
	for i := PhaseClaimed; i <= PhaseDead; i++ {
		if phaseNames[i] == name {
			return i, true
		}
	}
	return PhaseAbsent, false
}

// Leased reports whether a row in this phase has an owner, who can extend its lease.
func (p Phase) Leased() bool { return p == PhaseClaimed || p == PhaseDeadLettering }

// Seen returns what Store.Seen reports of a row in this phase, of whose lease, or until which is
// due, so much is left.
func (p Phase) Seen(left time.Duration) State {
	switch {
	case p == PhaseDone:
		return Done
	case p == PhaseDead:
		return Dead
	case p == PhaseDeadLettering:
		return DeadLettering
	case p == PhaseAbsent || p == PhaseFree && left <= 0:
		return Fresh
	}
	return Held
}

// From returns the phase that the outcome starts from.
func (o Outcome) From() Phase {
	if o == DeadLettered {
		return PhaseDeadLettering
	}
	return PhaseClaimed
}

// To returns the phase that the outcome leads to.
func (o Outcome) To() Phase {
	switch o {
	case Succeeded:
		return PhaseDone
	case GivenUp:
		return PhaseDeadLettering
	case DeadLettered:
		return PhaseDead
	case Failed, NotBegun:
	}
	return PhaseFree
}

// HasLedTo reports whether a row in this phase, whose owner is still the same, has the outcome
// applied, and perhaps the one that follows it: a settlement is then a repeat.
func (o Outcome) HasLedTo(p Phase) bool { return p == o.To() || o == GivenUp && p == PhaseDead }

// AddsAttempt reports whether the settlement counts an attempt.
func (s *Settlement) AddsAttempt() bool {
	return s.Outcome == Failed || s.Outcome == GivenUp && s.CountAttempt
}

// ClaimStep is what a claim does to the row of its key.
type ClaimStep uint8

const (
	// LeaveRow: nothing is written, and nothing was claimed.
	LeaveRow ClaimStep = iota
	// CreateRow: a new row is written, in place of an expired one if that is still there.
	CreateRow
	// RenewClaim: the claim is the request's own already; its lease and TTL run again.
	RenewClaim
	// TakeOver: the request becomes the owner, under a larger token. A claimed row counts a crash,
	// a free one becomes claimed.
	TakeOver
)

// DecideClaim returns what a request with a payload hash does to the row of its key, and what it is
// answered. Of the row it is told the phase, whether its last owner is the request's nonce, the
// hash, and what is left of its lease, or until it is due.
func DecideClaim(p Phase, mine bool, kept []byte, left time.Duration, hash []byte) (ClaimStep, State) {
	switch {
	case p == PhaseAbsent:
		return CreateRow, Fresh
	case Differ(kept, hash):
		return LeaveRow, Reused
	case p == PhaseDone:
		return LeaveRow, Done
	case p == PhaseDead:
		return LeaveRow, Dead
	case mine && p == PhaseFree: // a repeat that got delayed, of what was set free since, wins nothing
		return LeaveRow, Held
	case !mine && left > 0:
		return LeaveRow, Held
	}
	step, state := TakeOver, Fresh
	if mine {
		step = RenewClaim
	}
	if p == PhaseDeadLettering {
		state = DeadLettering
	}
	return step, state
}
