package group

import (
	"context"
	"sync/atomic"
	"time"
)

// Ownership is the right of this process to work on a partition. Its methods are safe for
// concurrent use.
type Ownership struct {
	assignment *Assignment
	partition  int
	epoch      uint64
	generation uint64 // of the membership under which it was taken
	began      time.Time
	cancel     context.CancelCauseFunc
	lost       atomic.Bool

	// Guarded by the assignment's mutex.

	revoked  bool
	returned bool
}

// Partition returns the number of the partition, from zero.
func (o *Ownership) Partition() int { return o.partition }

// Epoch grows with each owner of this partition, by one or more. It follows the store's clock, in
// seconds, so it grows as well after the store was deleted.
func (o *Ownership) Epoch() uint64 { return o.epoch }

// Until returns until when, by this machine's clock, no other process can own the partition, unless
// the ownership is renewed, which happens by itself. It is the zero time once the partition was
// lost. It does not block, and is cheap.
func (o *Ownership) Until() time.Time {
	since, ok := o.certainSince()
	if !ok {
		return time.Time{}
	}
	return since.Add(o.assignment.session.certainFor())
}

// Certain reports whether no other process can own the partition now. Unlike a comparison with
// Until it notices that the machine was suspended while its monotonic clock stood still.
func (o *Ownership) Certain() bool { return o.isCertain(o.assignment.session.options.Now()) }

func (o *Ownership) isCertain(now time.Time) bool {
	since, ok := o.certainSince()
	return ok && elapsed(since, now) < o.assignment.session.certainFor()
}

// certainSince returns when what the ownership rests on was confirmed last: that the member's row
// is there, and that the plan names it.
func (o *Ownership) certainSince() (since time.Time, ok bool) {
	m, verified := o.assignment.session.membership.Load(), o.assignment.verified.Load()
	if o.lost.Load() || m == nil || verified == nil || m.generation != o.generation {
		return time.Time{}, false
	}
	if verified.Before(m.renewed) {
		return *verified, true
	}
	return m.renewed, true
}

// membership is how long a process has been a member without a gap.
type membership struct {
	// renewed is when the last renewal was sent.
	renewed time.Time
	// generation differs after a gap, in which the row may have expired.
	generation uint64
}

// noteMembership notes that a renewal was sent, and answered.
func (s *Session) noteMembership(sent, answered time.Time) {
	next := membership{renewed: sent, generation: 1}
	if last := s.membership.Load(); last != nil {
		next.generation = last.generation
		if elapsed(last.renewed, answered) >= s.store.TTL() {
			next.generation++
		}
	}
	s.membership.Store(&next)
}

// certainFor is how long after a renewal a row has certainly not expired.
func (s *Session) certainFor() time.Duration { return s.store.TTL() - 2*s.tickInterval() }

// isMember reports whether the member's row has certainly not expired.
func (s *Session) isMember(now time.Time) (m membership, ok bool) {
	last := s.membership.Load()
	if last == nil {
		return membership{}, false
	}
	return *last, elapsed(last.renewed, now) < s.certainFor()
}
