package protocol

import (
	"github.com/onceish/onceish/dedupe"
)

// Stats describes a subscription: InFlight, Running, Allowed and Retrying as they stand, the others
// as counts of deliveries since it began.
type Stats struct {
	// InFlight is the number of events in flight, Running that of handlers that run. Allowed is
	// how many handlers may run: Options.Concurrency, or fewer while the receiver throttles. 0 is
	// one at a time, with a gap between.
	InFlight, Running, Allowed uint64
	// Retrying is the number of events that this process has nacked, and expects to be redelivered
	// here or elsewhere.
	Retrying uint64
	// Handled counts runs that succeeded, Duplicates deliveries that were recognised and acked,
	// Failed runs that will be repeated, and Dead events that were dead-lettered.
	Handled, Duplicates, Failed, Dead uint64
	// Deferred counts runs that were Throttled, or Unavailable for a reason that may not be the
	// event's own. They were no attempts, and will be repeated.
	Deferred uint64
	// Skipped counts messages that were acked unrun because they are no events of this group: the
	// bus's server stored them for itself (markers of deletions, schedules), or they are redriven
	// for another group.
	Skipped uint64
	// Held counts copies that were nacked for a while, GivenBack events that never ran. Lost counts
	// those that were superseded by another owner, or left to their lease because nobody knows
	// whether their transaction was committed.
	Held, GivenBack, Lost uint64
	// Dropped counts events that were nacked, and deleted by the stream before they were
	// redelivered, when their data was not kept here.
	Dropped uint64
}

// Stats returns the counts as they stand.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.InFlight, s.Retrying = uint64(len(m.jobs.byKey)), uint64(len(m.expected.byPlace))
	s.Running, s.Allowed = uint64(m.jobs.count[running]), uint64(m.Allowed())
	return s
}

// Unmarked is how many runs succeeded whose mark is not stored yet.
func (m *Machine) Unmarked() int {
	n := 0
	m.jobs.each(func(j *Job) {
		if j.phase == settling && j.ending.outcome == dedupe.Succeeded {
			n++
		}
	})
	return n
}

// Running is how many handlers run, but for those that are Stuck.
func (m *Machine) Running() int { return m.jobs.count[running] }

// Stuck is how many handlers did not return at the run limit.
func (m *Machine) Stuck() int { return m.stuck }

// Trouble returns what the store does that keeps work from going on ("does not answer: …",
// "refuses <key>: …"), and why the dead-letter topic does not take letters. Both are nil while they
// answer.
func (m *Machine) Trouble() (store, letter error) {
	for _, q := range []*callQueue{&m.settles, &m.claims, &m.renewals} {
		if err := q.callError(); err != nil {
			return err, m.letters.err
		}
	}
	return nil, m.letters.err
}
