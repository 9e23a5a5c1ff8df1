package protocol

import (
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

const (
	// leastGap is the shortest time between two starts that is kept; below it there is none.
	leastGap = 50 * time.Millisecond
	// firstProbe is when the first probe starts after the receiver became unavailable. The time
	// between probes doubles up to mostGap.
	firstProbe = time.Second
	mostGap    = 10 * time.Second
	// enoughFailures in a row, without a success between, say that the receiver is unavailable.
	enoughFailures = 5
	// recoverAfter is how long there must be nothing to do until the pace is what it was at the
	// start: a slow pace that only successes undo would stay until the next events arrive.
	recoverAfter = mostGap
)

// pace is how fast runs may start. Config.Concurrency run at once while the receiver takes what it
// is given. While it throttles, fewer do: half as many each time, one more with each success, and
// below one at a time there is a gap between starts. While it is unavailable, one event at a time
// is a probe.
type pace struct {
	most    int           // Config.Concurrency
	allowed int           // how many may run at once
	gap     time.Duration // between two starts, of one at a time; zero: none
	next    time.Time     // the next start, while there is a gap
	cut     time.Time     // when it was last slowed: a run that began before says nothing new
	proven  time.Time     // when the latest run began that succeeded
	easing  int           // successes in a row since it was last slowed, while there is a gap

	idle time.Time // since when there has been nothing to do; zero: there is something

	failures int          // unavailable in a row, without a success between
	failed   []dedupe.Key // whose they were, each once, enoughFailures at most
	down     time.Time    // since when the receiver is unavailable; zero: it is not
	reason   string       // of what slowed it last
}

func newPace(concurrency int) pace { return pace{most: concurrency, allowed: concurrency} }

// spaced reports whether one event at a time starts, with a gap between.
func (p *pace) spaced() bool { return p.gap > 0 }

func (p *pace) unavailable() bool { return !p.down.IsZero() }

// open reports whether a run may start now, as far as the gap is concerned.
func (p *pace) open(now time.Time) bool { return p.gap == 0 || !now.Before(p.next) }

// wait sets the next start: three to five quarters of the gap from now, so that processes do not
// start together.
func (p *pace) wait(now time.Time, random float64) {
	p.next = now.Add(p.gap*3/4 + time.Duration(random*float64(p.gap)/2))
}

// succeeded takes a success of a run that began then.
func (p *pace) succeeded(began time.Time) {
	if began.After(p.proven) {
		p.proven = began
	}
	switch {
	case p.unavailable():
		p.reached(began)
	case p.spaced():
		p.ease()
	case p.allowed < p.most:
		p.allowed++
	}
	p.forgetFailures()
}

// ease shortens the gap by an eighth, then a quarter, then half with each success: carefully while
// the receiver still throttles now and then, and from the longest gap to none in half a minute once
// it has stopped.
func (p *pace) ease() {
	p.gap -= p.gap / time.Duration(max(2, 8>>p.easing))
	if p.easing++; p.gap < leastGap {
		p.gap = 0
	}
}

// reached notes that a run which began then had an answer of the receiver. One that began before
// the receiver became unavailable says nothing of it now.
func (p *pace) reached(began time.Time) {
	p.forgetFailures()
	if p.unavailable() && began.After(p.down) {
		p.down, p.gap, p.allowed = time.Time{}, 0, 1
	}
}

func (p *pace) forgetFailures() { p.failures, p.failed = 0, p.failed[:0] }

// throttled slows down, unless the run began before that was done last.
func (p *pace) throttled(now, began time.Time, reason string) {
	p.reached(began)
	if p.unavailable() || began.Before(p.cut) {
		return
	}
	p.cut, p.reason, p.easing = now, reason, 0
	if p.allowed > 1 {
		p.allowed /= 2
		return
	}
	p.gap = min(max(2*p.gap, leastGap), mostGap)
}

// failedUnavailable notes that a run which began then did not get through to the receiver. alone:
// no other event is in flight.
func (p *pace) failedUnavailable(now, began time.Time, key dedupe.Key, reason string, alone bool) {
	p.failures++
	if len(p.failed) < enoughFailures && !slices.Contains(p.failed, key) {
		p.failed = append(p.failed, key)
	}
	switch {
	case p.unavailable():
		p.reason = reason
		if began.After(p.down) {
			p.gap = min(2*p.gap, mostGap)
		}
	case p.failures >= enoughFailures && (len(p.failed) == enoughFailures || alone):
		p.down, p.reason, p.allowed, p.gap = now, reason, 1, firstProbe
	}
}

// recover undoes all throttling once there has been nothing to do for recoverAfter. An unavailable
// receiver stays so until an event gets through.
func (p *pace) recover(now time.Time, idle bool) {
	switch {
	case !idle || p.unavailable():
		p.idle = time.Time{}
	case p.idle.IsZero():
		p.idle = now
	case now.Sub(p.idle) >= recoverAfter:
		p.allowed, p.gap = p.most, 0
	}
}

// onlyThis reports whether no other event failed since the last success.
func (p *pace) onlyThis(key dedupe.Key) bool {
	return !slices.ContainsFunc(p.failed, func(k dedupe.Key) bool { return k != key })
}

// Unavailable reports since when the receiver is unavailable; not ok: it is not. reason is that of
// the last run that slowed the pace.
func (m *Machine) Unavailable() (since time.Time, reason string, ok bool) {
	return m.pace.down, m.pace.reason, m.pace.unavailable()
}

// Allowed is how many runs there may be at once now; 0: one at a time, with a gap between.
func (m *Machine) Allowed() int {
	if m.pace.spaced() {
		return 0
	}
	return m.pace.allowed
}

// spaceOut sends back what has not begun, once there is a gap between starts: it must not wait for
// that with a claim. The deliveries stay here for a while.
func (m *Machine) spaceOut(now time.Time) {
	m.roster.each(func(j *Job) {
		switch j.phase {
		case ready:
			m.postpone(now, j)
		case starting:
			m.cancel(j, ErrHalted)
		default: // no claim yet, or it has begun
		}
	})
}

// mayProbe reports whether the next event may be claimed, while there is a gap between starts.
func (m *Machine) mayProbe(now time.Time) bool {
	return m.pace.open(now) && (m.probe == nil || !m.probe.inHand())
}

// takeProbe takes the next event to be claimed, and what may hold a claim already.
func (m *Machine) takeProbe(now time.Time) []*Job {
	probe := (*Job)(nil)
	jobs := m.claims.take(now, func(j *Job) bool {
		if j.phase == queued && probe == nil {
			probe = j
		}
		return j == probe || j.phase == claiming
	})
	if probe != nil {
		m.probe = probe
	}
	return jobs
}

// wasTried reports whether an event failed since the receiver became unavailable. Then others are
// tried first, for as long as another gap: not every event may be as good a probe.
func (m *Machine) wasTried(now time.Time, key dedupe.Key) bool {
	s := m.setbacks[key]
	return m.pace.unavailable() && s != nil && !s.failed.Before(m.pace.down) &&
		now.Before(m.pace.next.Add(m.pace.gap))
}
