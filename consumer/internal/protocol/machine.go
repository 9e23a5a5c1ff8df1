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
	cfg    Config
	nonces uint64

	paused, draining bool
	readOut          bool          // nothing that was asked for can come any more
	asked            int           // of the bus, by the last Fetch
	scanned          time.Time     // when events were last asked for beside what waits
	open             int           // what was asked for and may still come
	ahead            time.Duration // of this process's clock: the bus's
	sizes            averageSize
	solo             bool // the suspect in flight must be the only claim

	jobs      map[dedupe.Key]*Job
	roster    roster
	lanes     map[string]*lane
	count     [phases]int
	suspects  [phases]int // of count, those whose claim ended in a crash before
	isolating time.Time   // since when suspects wait for others to end; zero: they do not
	parked    int         // deliveries that wait for their key or for another copy
	held      int         // bytes of the deliveries in flight
	stuck     int
	exposed   int // jobs that have started and are not settled

	ticked, thawed time.Time // the last Tick, or when the Machine was made; and the last Tick after a freeze

	expected redeliveries
	looking  bool // they are being looked up
	lookNext time.Time
	rebuilt  time.Time // when the cursor was

	claims, settles, extends, letters backlog

	ready    []*Job
	solos    []*Job // queued, and known to have crashed so often that each must be the only claim
	answers  []Answer
	cancels  []Cancel
	finished recent
	progress progress
	stats    Stats

	pace     pace
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
	calls := backlog{most: cfg.MaxBatch, slow: cfg.Lease / 4, least: cfg.Concurrency}
	return &Machine{
		cfg: cfg, ticked: now, jobs: make(map[dedupe.Key]*Job), lanes: make(map[string]*lane),
		claims: calls, settles: calls, extends: calls, letters: calls,
		expected: redeliveries{byPlace: make(map[place]*redelivery), byKey: make(map[dedupe.Key]*redelivery)},
		progress: progress{watermark: cfg.Watermark},
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
	for _, b := range []*backlog{&m.settles, &m.claims, &m.extends} {
		if err := b.trouble(); err != nil {
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
	m.halt(now)
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
	m.halt(now)
}

// CutShort cancels what still runs while draining: its time is over.
func (m *Machine) CutShort(cause error) {
	m.roster.each(func(j *Job) {
		if j.phase == running {
			m.cancel(j, cause)
		}
	})
}

// Drained: everything that was in hand has ended, but for handlers that do not return.
func (m *Machine) Drained() bool {
	return m.draining && m.readOut && len(m.jobs) == m.count[zombie] && len(m.answers) == 0
}

func (m *Machine) halted() bool { return m.paused || m.draining }

// halt gives back what has not begun.
func (m *Machine) halt(now time.Time) {
	m.readOut = false
	m.roster.each(func(j *Job) {
		switch j.phase {
		case waiting, queued:
			m.handBack(now, j)
		case ready:
			m.giveBack(now, j)
		case starting:
			m.cancel(j, ErrHalted)
		default: // asked, running or over: it goes its way
		}
	})
	m.sweepQueues()
}

// handBack nacks a job that holds no claim.
func (m *Machine) handBack(now time.Time, j *Job) {
	m.conclude(now, j, Answer{Kind: Nak, After: heldNak(j.arrivals()), Outcome: GivenBack, heldUntil: j.heldUntil()})
}

// sweepQueues forgets queued jobs that have ended.
func (m *Machine) sweepQueues() {
	gone := func(j *Job) bool { return j.phase == ended }
	m.claims.remove(gone)
	m.solos = slices.DeleteFunc(m.solos, gone)
}

// enter moves a job to another phase.
func (m *Machine) enter(now time.Time, j *Job, p phase) {
	m.leave(j)
	j.phase, j.since = p, now
	m.count[p]++
	if j.suspect {
		m.suspects[p]++
	}
}

func (m *Machine) leave(j *Job) {
	m.count[j.phase]--
	if j.suspect {
		m.suspects[j.phase]--
	}
}

func (m *Machine) nonce() string {
	m.nonces++
	return m.cfg.Owner + strconv.FormatUint(m.nonces, 36)
}

// SetWatermark replaces the Watermark of the Config: the group's cursor was rebuilt, and delivers
// again what is not settled. What has a claim is finished, but its deliveries were the old
// cursor's: they are told nothing any more. If the stream came back from an older copy, another
// event may lie at their sequence by now, and an ack would settle that one. What only waits is let
// go, and expected back, so that it is handled in the order in which the new cursor delivers it.
func (m *Machine) SetWatermark(now time.Time, w bus.Position) {
	m.progress = progress{watermark: w}
	for i := range m.answers {
		m.answers[i].Kind = None
	}
	m.roster.each(func(j *Job) {
		for i := range j.copies {
			j.copies[i].orphan = true
		}
		if j.phase == waiting || (j.phase == queued && j.nonce == "") {
			m.handBack(now, j)
		}
	})
	m.sweepQueues()
	m.expectFromNewCursor(now, w)
}
