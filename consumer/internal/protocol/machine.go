package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// Machine is the protocol of one subscription in one process. It is not safe for concurrent use:
// its driver holds a lock around each call.
type Machine struct {
	cfg              Config
	nonceCount       uint64
	busClockOffset   time.Duration // the bus's clock, less this process's
	paused, draining bool
	capacity         int // how many may run at once, as the gates say; negative: they do not
	shuts            int // how often the gates have shut
	runsBeforeShut   int // handlers that began before that, and have not returned

	jobs       jobTable
	keyQueues  keyQueues
	quarantine quarantine
	expected   pendingRedeliveries
	fetches    fetchState
	settled    settledEvents
	pace       startPace
	owned      ownership
	stats      Stats

	claims, settles, renewals, letters callQueue

	ready   []*Job
	probe   *Job // the last job that was claimed while there was a gap between starts
	answers []Answer
	cancels []Cancel

	extraCopies int // deliveries that wait for another copy
	heldBytes   int // of the deliveries in flight
	stuck       int // handlers that did not return at the run limit
	exposed     int // jobs that have started and are not settled

	lastTick time.Time // or when the Machine was made
	lastThaw time.Time // the last Tick after a freeze
}

// New returns a Machine that has done nothing yet. Its driver ticks it from now on.
func New(cfg Config, now time.Time) *Machine {
	cfg = cfg.withDefaults()
	calls := callQueue{maxBatch: cfg.MaxBatch, slowAfter: cfg.Lease / 4, minBatch: cfg.Concurrency}
	m := &Machine{
		cfg: cfg, lastTick: now, capacity: -1,
		keyQueues: make(keyQueues),
		claims:    calls, settles: calls, renewals: calls, letters: calls,
		settled: settledEvents{watermark: cfg.Watermark},
		pace:    startPace{maxRuns: cfg.Concurrency, allowedRuns: cfg.Concurrency, setbacks: make(setbacks)},
	}
	m.jobs.initEmpty()
	m.quarantine.jobs = &m.jobs
	m.expected = pendingRedeliveries{
		byPlace: make(map[eventPlace]*pendingRedelivery), holds: make(map[dedupe.Key]*ownHold), dropped: make(map[dedupe.Key]*ownHold), keyQueues: m.keyQueues,
	}
	return m
}

// Due is what there is to take from a Machine now.
type Due struct {
	Fetch, Claims, Settlements, Renewals, Letters, Lookups, Answers, Runs bool
}

// Due reports which of the Machine's calls would return something now.
func (m *Machine) Due(now time.Time) Due {
	_, fetch := m.fetchBudget(now)
	return Due{
		Fetch:       fetch,
		Claims:      m.claims.isDue(now) || (m.quarantine.mayClaimSolo() && !m.ownershipOver(now)),
		Settlements: m.settles.isDue(now),
		Renewals:    m.renewals.isDue(now),
		Letters:     m.letters.isDue(now),
		Lookups:     m.mayLookUp(now),
		Answers:     len(m.answers) > 0,
		Runs:        m.nextReady(now) >= 0,
	}
}

// Pause stops new runs: none begins until Resume. Running ones finish, and what is claimed is given
// back.
func (m *Machine) Pause(now time.Time) {
	if m.paused {
		return
	}
	m.paused = true
	m.releaseUnbegun(now)
}

// Resume ends a Pause.
func (m *Machine) Resume() {
	m.paused = false
}

// SetCapacity bounds how many may run at once: what the gate has room for. Zero is as Pause, and
// ends with another capacity. Negative is no bound.
func (m *Machine) SetCapacity(now time.Time, runs int) {
	shut := runs == 0 && m.capacity != 0
	m.capacity = runs
	if shut {
		m.shuts++
		m.runsBeforeShut = m.jobs.count[running] + m.stuck
		m.releaseUnbegun(now)
	}
}

// allowedRuns is how many may run at once, as far as pace and gates are concerned. What began
// before the gates shut last does not count for them: else a probe would wait for runs that hang.
func (m *Machine) allowedRuns() int {
	if m.capacity < 0 {
		return m.pace.allowedRuns
	}
	return min(m.pace.allowedRuns, m.capacity+m.runsBeforeShut)
}

// Drain stops new runs for good.
func (m *Machine) Drain(now time.Time) {
	if m.draining {
		return
	}
	m.draining = true
	m.releaseUnbegun(now)
}

// CancelRuns cancels what still runs while draining.
func (m *Machine) CancelRuns(cause error) {
	m.jobs.each(func(j *Job) {
		if j.phase == running {
			m.cancelJob(j, cause)
		}
	})
}

// Drained reports whether everything that was in flight has ended, but for handlers that do not
// return. What was requested of a partition that is lost is not waited for.
func (m *Machine) Drained() bool {
	return m.draining && (m.fetches.exhausted || m.owned.lost) && len(m.jobs.byKey) == m.jobs.count[leaked] && len(m.answers) == 0
}

func (m *Machine) isHalted() bool { return m.paused || m.draining || m.capacity == 0 }

// releaseUnbegun gives back what has not begun.
func (m *Machine) releaseUnbegun(now time.Time) {
	m.fetches.exhausted = false
	m.jobs.each(func(j *Job) {
		switch j.phase {
		case waiting, queued:
			m.nackUnclaimed(now, j)
		case ready:
			m.releaseClaim(now, j)
		case starting:
			m.cancelJob(j, ErrNotStarted)
		default: // its claim is requested, it runs, or it is over
		}
	})
	m.sweepQueues()
}

// sweepQueues removes jobs that have ended from the queues of those to be claimed.
func (m *Machine) sweepQueues() {
	hasEnded := func(j *Job) bool { return j.phase == ended }
	m.claims.removeJobs(hasEnded)
	m.quarantine.soloQueue = slices.DeleteFunc(m.quarantine.soloQueue, hasEnded)
}

// Stats describes a subscription: InFlight, Running, Allowed and Retrying as they stand, the others
// as counts of deliveries since it began.
type Stats struct {
	// InFlight is the number of events in flight, Running that of handlers that run. Allowed is
	// how many handlers may run: Options.Concurrency, or fewer while the receiver throttles or
	// Options.Gates have room for fewer. 0 is one at a time with a gap between, or none while the
	// gate is shut.
	InFlight, Running, Allowed uint64
	// Unmarked is the number of runs that succeeded, and whose mark is not stored yet.
	Unmarked uint64
	// Retrying is the number of events that this process has nacked, and expects to be redelivered
	// here or elsewhere.
	Retrying uint64
	// Handled counts runs that succeeded, and events that were handled beside the event of such a
	// run (Options.HandledBeside). Duplicates counts deliveries that were recognised and acked,
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
	s.Running, s.Allowed, s.Unmarked = uint64(m.jobs.count[running]), uint64(m.Allowed()), uint64(m.Unmarked())
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

// Stalled reports whether handlers that are Stuck hold every slot, so that nothing starts again
// before one of them returns.
func (m *Machine) Stalled() bool { return m.stuck >= m.cfg.Concurrency }

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
