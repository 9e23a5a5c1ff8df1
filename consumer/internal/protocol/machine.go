package protocol

import (
	"slices"
	"strconv"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// Machine is the protocol of one subscription in one process. It is not safe for concurrent use:
// its driver holds a lock around each call.
type Machine struct {
	cfg              Config
	nonceCount       uint64
	busClockOffset   time.Duration // the bus's clock, less this process's
	paused, draining bool

	jobs       jobTable
	keyQueues  keyQueues
	quarantine quarantine
	expected   pendingRedeliveries
	fetches    fetchState
	progress   settledProgress
	pace       startPace
	setbacks   setbacks
	stats      Stats

	claims, settles, renewals, letters callQueue

	ready   []*Job
	probe   *Job // the last job that was claimed while there was a gap between starts
	answers []Answer
	cancels []Cancel

	waitingCount int // deliveries that wait for their order key or for another copy
	heldBytes    int // of the deliveries in flight
	stuck        int // handlers that did not return at the run limit
	exposed      int // jobs that have started and are not settled

	lastTick time.Time // or when the Machine was made
	lastThaw time.Time // the last Tick after a freeze
}

// New returns a Machine that has done nothing yet. Its driver ticks it from now on.
func New(cfg Config, now time.Time) *Machine {
	cfg = cfg.withDefaults()
	calls := callQueue{maxBatch: cfg.MaxBatch, slowAfter: cfg.Lease / 4, minBatch: cfg.Concurrency}
	m := &Machine{
		cfg: cfg, lastTick: now,
		jobs: jobTable{byKey: make(map[dedupe.Key]*Job)}, keyQueues: make(keyQueues), setbacks: make(setbacks),
		claims: calls, settles: calls, renewals: calls, letters: calls,
		progress: settledProgress{watermark: cfg.Watermark},
		pace:     newPace(cfg.Concurrency),
	}
	m.quarantine.jobs = &m.jobs
	m.expected = pendingRedeliveries{
		byPlace: make(map[eventPlace]*pendingRedelivery), byKey: make(map[dedupe.Key]*pendingRedelivery), keyQueues: m.keyQueues,
	}
	return m
}

// Due is what there is to take from a Machine now.
type Due struct {
	Fetch, Claims, Settlements, Extensions, Letters, Lookups, Answers, Cancels, Runs bool
}

// Due reports which of the Machine's calls would return something now.
func (m *Machine) Due(now time.Time) Due {
	_, fetch := m.fetchBudget(now)
	return Due{
		Fetch:       fetch,
		Claims:      m.claims.isDue(now) || m.quarantine.mayClaimSolo(),
		Settlements: m.settles.isDue(now),
		Extensions:  m.renewals.isDue(now),
		Letters:     m.letters.isDue(now),
		Lookups:     m.mayLookUp(now),
		Answers:     len(m.answers) > 0,
		Cancels:     len(m.cancels) > 0,
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
// return.
func (m *Machine) Drained() bool {
	return m.draining && m.fetches.exhausted && len(m.jobs.byKey) == m.jobs.count[leaked] && len(m.answers) == 0
}

func (m *Machine) isHalted() bool { return m.paused || m.draining }

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
			m.cancelJob(j, ErrHalted)
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

func (m *Machine) newNonce() string {
	m.nonceCount++
	return m.cfg.Owner + strconv.FormatUint(m.nonceCount, 36)
}

// SetWatermark replaces Config.Watermark after the group's cursor was rebuilt, which redelivers
// what is not settled. What has a claim is finished, but its deliveries were the old cursor's and
// are not settled any more: if the stream came back from an older copy, another event may lie at
// their sequence by now, and an ack would settle that one. What only waits is let go and expected
// back, so that it is handled in the order in which the new cursor delivers it.
func (m *Machine) SetWatermark(now time.Time, w bus.Position) {
	m.progress = settledProgress{watermark: w}
	for i := range m.answers {
		m.answers[i].Kind = None
	}
	m.jobs.each(func(j *Job) {
		for i := range j.copies {
			j.copies[i].cursorGone = true
		}
		if j.phase == waiting || (j.phase == queued && j.nonce == "") {
			m.nackUnclaimed(now, j)
		}
	})
	m.sweepQueues()
	m.expected.expectFromNewCursor(now, w)
}

// SetBusTime notes what time it is for the bus, by whose clock events are stored, at a moment of
// this process's clock.
func (m *Machine) SetBusTime(now, bus time.Time) {
	if !bus.IsZero() {
		m.busClockOffset = bus.Sub(now)
	}
}

// busTime converts a moment of this process's clock to the bus's. Until the offset is known, both
// are taken for the same.
func (m *Machine) busTime(t time.Time) time.Time { return t.Add(m.busClockOffset) }
