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
	cfg        Config
	nonceCount uint64

	paused, draining   bool
	nothingOutstanding bool          // nothing that was asked for can come any more
	requested          int           // of the bus, by the last Fetch
	lastScan           time.Time     // when events were last asked for beside what waits
	outstanding        int           // what was asked for and may still come
	busClockOffset     time.Duration // of this process's clock: the bus's
	sizes              averageSize
	soloSuspect        bool // the suspect in flight must be the only claim

	jobs           map[dedupe.Key]*Job
	roster         jobList
	keyQueues      map[string]*keyQueue
	count          [phaseCount]int
	suspects       [phaseCount]int // of count, those whose claim ended in a crash before
	isolatingSince time.Time       // since when suspects wait for others to end; zero: they do not
	waitingCount   int             // deliveries that wait for their key or for another copy
	heldBytes      int             // bytes of the deliveries in flight
	stuck          int
	exposed        int // jobs that have started and are not settled

	lastTick, lastThaw time.Time // the last Tick, or when the Machine was made; and the last Tick after a freeze

	expected      pendingRedeliveries
	lookingUp     bool // they are being looked up
	nextLookup    time.Time
	cursorRebuilt time.Time // when the cursor was

	claims, settles, renewals, letters callQueue

	ready          []*Job
	soloQueue      []*Job // queued, and known to have crashed so often that each must be the only claim
	answers        []Answer
	cancels        []Cancel
	finishedLately recentCount
	progress       settledProgress
	stats          Stats

	pace     startPace
	probe    *Job // the last one that was claimed while there was a gap between starts
	setbacks map[dedupe.Key]*setback
}

// Stats count deliveries since the Machine was made, but for the first four.
type Stats struct {
	// InFlight is how many events are in hand now, Running how many handlers run, Allowed how many
	// may: 0 is one at a time, with a gap between.
	InFlight, Running, Allowed uint64
	// Retrying is how many nacked events are expected back.
	Retrying uint64
	// Handled runs succeeded; Duplicates were recognised and acknowledged; Failed runs will be
	// repeated; Dead were dead-lettered.
	Handled, Duplicates, Failed, Dead uint64
	// Deferred runs met trouble that may not be the event's own: they were throttled, or the
	// receiver was unavailable.
	Deferred uint64
	// Skipped messages were no events of this group.
	Skipped uint64
	// Held copies were nacked for a while; GivenBack never ran; Lost were superseded by another
	// owner, or left to their lease.
	Held, GivenBack, Lost uint64
	// Dropped were nacked, and deleted by the stream before they were delivered again; their data
	// was not here any more.
	Dropped uint64
}

// New returns a Machine that has done nothing yet. Whoever ticks it does so from now on.
func New(cfg Config, now time.Time) *Machine {
	cfg = cfg.withDefaults()
	calls := callQueue{maxBatch: cfg.MaxBatch, slowAfter: cfg.Lease / 4, minBatch: cfg.Concurrency}
	return &Machine{
		cfg: cfg, lastTick: now, jobs: make(map[dedupe.Key]*Job), keyQueues: make(map[string]*keyQueue),
		claims: calls, settles: calls, renewals: calls, letters: calls,
		expected: pendingRedeliveries{byPlace: make(map[eventPlace]*pendingRedelivery), byKey: make(map[dedupe.Key]*pendingRedelivery)},
		progress: settledProgress{watermark: cfg.Watermark},
		pace:     newPace(cfg.Concurrency), setbacks: make(map[dedupe.Key]*setback),
	}
}

// Stats of the Machine as it stands.
func (m *Machine) Stats() Stats {
	s := m.stats
	s.InFlight, s.Retrying = uint64(len(m.jobs)), uint64(len(m.expected.byPlace))
	s.Running, s.Allowed = uint64(m.count[running]), uint64(m.Allowed())
	return s
}

// Unmarked is how many runs succeeded whose mark is not stored yet.
func (m *Machine) Unmarked() int {
	n := 0
	m.roster.each(func(j *Job) {
		if j.phase == settling && j.ending.outcome == dedupe.Succeeded {
			n++
		}
	})
	return n
}

// Running is how many handlers run, but for those that are Stuck.
func (m *Machine) Running() int { return m.count[running] }

// Stuck is how many handlers did not return at the run limit.
func (m *Machine) Stuck() int { return m.stuck }

// Trouble tells what the store does ("does not answer: …", "refuses <key>: …") that keeps work from
// going on, and why the dead-letter topic does not take what it is given; nil while they answer.
func (m *Machine) Trouble() (store, letter error) {
	for _, b := range []*callQueue{&m.settles, &m.claims, &m.renewals} {
		if err := b.callError(); err != nil {
			return err, m.letters.err
		}
	}
	return nil, m.letters.err
}

// Pause stops new runs: from now on none begins until Resume. Running ones go on; what is claimed
// is given back.
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

// CancelRuns cancels what still runs while draining: its time is over.
func (m *Machine) CancelRuns(cause error) {
	m.roster.each(func(j *Job) {
		if j.phase == running {
			m.cancelJob(j, cause)
		}
	})
}

// Drained: everything that was in hand has ended, but for handlers that do not return.
func (m *Machine) Drained() bool {
	return m.draining && m.nothingOutstanding && len(m.jobs) == m.count[leaked] && len(m.answers) == 0
}

func (m *Machine) isHalted() bool { return m.paused || m.draining }

// releaseUnbegun gives back what has not begun.
func (m *Machine) releaseUnbegun(now time.Time) {
	m.nothingOutstanding = false
	m.roster.each(func(j *Job) {
		switch j.phase {
		case waiting, queued:
			m.nackUnclaimed(now, j)
		case ready:
			m.releaseClaim(now, j)
		case starting:
			m.cancelJob(j, ErrHalted)
		default: // asked, running or over: it goes its way
		}
	})
	m.sweepQueues()
}

// nackUnclaimed nacks a job that holds no claim.
func (m *Machine) nackUnclaimed(now time.Time, j *Job) {
	m.finishJob(now, j, Answer{Kind: Nak, After: heldNakDelay(j.arrivalCount()), Outcome: GivenBack, heldUntil: j.heldHereUntil()})
}

// sweepQueues forgets queued jobs that have ended.
func (m *Machine) sweepQueues() {
	gone := func(j *Job) bool { return j.phase == ended }
	m.claims.removeJobs(gone)
	m.soloQueue = slices.DeleteFunc(m.soloQueue, gone)
}

// enterPhase moves a job to another phase.
func (m *Machine) enterPhase(now time.Time, j *Job, p phase) {
	m.leavePhase(j)
	j.phase, j.phaseSince = p, now
	m.count[p]++
	if j.suspect {
		m.suspects[p]++
	}
}

func (m *Machine) leavePhase(j *Job) {
	m.count[j.phase]--
	if j.suspect {
		m.suspects[j.phase]--
	}
}

func (m *Machine) newNonce() string {
	m.nonceCount++
	return m.cfg.Owner + strconv.FormatUint(m.nonceCount, 36)
}

// SetWatermark replaces the Watermark of the Config: the group's cursor was rebuilt, and delivers
// again what is not settled. What has a claim is finished, but its deliveries were the old
// cursor's: they are told nothing any more. If the stream came back from an older copy, another
// event may lie at their sequence by now, and an ack would settle that one. What only waits is let
// go, and expected back, so that it is handled in the order in which the new cursor delivers it.
func (m *Machine) SetWatermark(now time.Time, w bus.Position) {
	m.progress = settledProgress{watermark: w}
	for i := range m.answers {
		m.answers[i].Kind = None
	}
	m.roster.each(func(j *Job) {
		for i := range j.copies {
			j.copies[i].cursorGone = true
		}
		if j.phase == waiting || (j.phase == queued && j.nonce == "") {
			m.nackUnclaimed(now, j)
		}
	})
	m.sweepQueues()
	m.expectFromNewCursor(now, w)
}
