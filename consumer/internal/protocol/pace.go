package protocol

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

const (
	// minGap is the shortest time between two starts that is kept; below it there is none.
	minGap = 50 * time.Millisecond
	// firstProbe is when the first probe starts after the receiver became unavailable. The time
	// between probes doubles up to maxGap.
	firstProbe = time.Second
	maxGap     = 10 * time.Second
	// enoughFailures in a row, without a success between, say that the receiver is unavailable.
	enoughFailures = 5
	// recoverAfter is how long there must be nothing to do until the pace is what it was at the
	// start: a slow pace that only successes undo would stay until the next events arrive.
	recoverAfter = maxGap
)

// startPace is how fast runs may start. Config.Concurrency run at once while the receiver takes
// what it is given. While it throttles, fewer do: half as many each time, one more with each
// success, and below one at a time there is a gap between starts. While it is unavailable, one
// event at a time is run as a probe.
type startPace struct {
	maxRuns     int           // Config.Concurrency
	allowedRuns int           // how many may run at once
	gap         time.Duration // between two starts, of one at a time; zero: none
	nextStart   time.Time     // the next start, while there is a gap
	slowedAt    time.Time     // when it was last slowed: a run that began before says nothing new
	provenAt    time.Time     // when the latest run began that succeeded
	easing      int           // successes in a row since it was last slowed, while there is a gap

	idleSince time.Time // since when there has been nothing to do; zero: there is something

	failures         int          // unavailable in a row, without a success between
	failedKeys       []dedupe.Key // whose they were, each once, enoughFailures at most
	unavailableSince time.Time    // since when the receiver is unavailable; zero: it is not
	reason           string       // of what slowed it last
	setbacks         setbacks     // of the events that met trouble
}

// oneAtATime reports whether one event at a time starts, with a gap between.
func (p *startPace) oneAtATime() bool { return p.gap > 0 }

func (p *startPace) isUnavailable() bool { return !p.unavailableSince.IsZero() }

// mayStart reports whether a run may start now, as far as the gap is concerned.
func (p *startPace) mayStart(now time.Time) bool { return p.gap == 0 || !now.Before(p.nextStart) }

// scheduleNext sets the next start: three to five quarters of the gap from now, so that processes
// do not start together.
func (p *startPace) scheduleNext(now time.Time, random float64) {
	p.nextStart = now.Add(p.gap*3/4 + time.Duration(random*float64(p.gap)/2))
}

// recordSuccess notes that a run which began then succeeded.
func (p *startPace) recordSuccess(began time.Time) {
	if began.After(p.provenAt) {
		p.provenAt = began
	}
	switch {
	case p.isUnavailable():
		p.recordReached(began)
	case p.oneAtATime():
		p.shortenGap()
	case p.allowedRuns < p.maxRuns:
		p.allowedRuns++
	}
	p.forgetFailures()
}

// shortenGap shortens the gap by an eighth, then a quarter, then half with each success: carefully
// while the receiver still throttles now and then, and from the longest gap to none in half a
// minute once it has stopped.
func (p *startPace) shortenGap() {
	p.gap -= p.gap / time.Duration(max(2, 8>>p.easing))
	if p.easing++; p.gap < minGap {
		p.gap = 0
	}
}

// recordReached notes that the receiver answered a run which began then. One that began before the
// receiver became unavailable says nothing of it now.
func (p *startPace) recordReached(began time.Time) {
	p.forgetFailures()
	if p.isUnavailable() && began.After(p.unavailableSince) {
		p.unavailableSince, p.gap, p.allowedRuns = time.Time{}, 0, 1
	}
}

func (p *startPace) forgetFailures() { p.failures, p.failedKeys = 0, p.failedKeys[:0] }

// recordThrottled slows down, unless the run began before that was last done.
func (p *startPace) recordThrottled(now, began time.Time, reason string) {
	p.recordReached(began)
	if p.isUnavailable() || began.Before(p.slowedAt) {
		return
	}
	p.slowedAt, p.reason, p.easing = now, reason, 0
	if p.allowedRuns > 1 {
		p.allowedRuns /= 2
		return
	}
	p.gap = min(max(2*p.gap, minGap), maxGap)
}

// recordUnavailable notes that a run which began then did not get through to the receiver. alone is
// set if no other event is in flight.
func (p *startPace) recordUnavailable(now, began time.Time, key dedupe.Key, reason string, alone bool) {
	p.failures++
	if len(p.failedKeys) < enoughFailures && !slices.Contains(p.failedKeys, key) {
		p.failedKeys = append(p.failedKeys, key)
	}
	switch {
	case p.isUnavailable():
		p.reason = reason
		if began.After(p.unavailableSince) {
			p.gap = min(2*p.gap, maxGap)
		}
	case p.failures >= enoughFailures && (len(p.failedKeys) == enoughFailures || alone):
		p.unavailableSince, p.reason, p.allowedRuns, p.gap = now, reason, 1, firstProbe
	}
}

// recoverWhenIdle undoes all throttling once there has been nothing to do for recoverAfter. An
// unavailable receiver stays so until an event gets through.
func (p *startPace) recoverWhenIdle(now time.Time, idle bool) {
	switch {
	case !idle || p.isUnavailable():
		p.idleSince = time.Time{}
	case p.idleSince.IsZero():
		p.idleSince = now
	case now.Sub(p.idleSince) >= recoverAfter:
		p.allowedRuns, p.gap = p.maxRuns, 0
	}
}

// onlyFailureIs reports whether no other event failed since the last success.
func (p *startPace) onlyFailureIs(key dedupe.Key) bool {
	return !slices.ContainsFunc(p.failedKeys, func(k dedupe.Key) bool { return k != key })
}

// setback is what this process remembers of an event whose runs here met trouble that may not be
// the event's own.
type setback struct {
	since         time.Time // the first of them
	unavailableAt time.Time // the last one that was unavailable; zero: there was none
	inARow        int       // the last ones that were no attempts
}

type setbacks map[dedupe.Key]*setback

// maxSetbacks bounds what is remembered. Of more, the older half is forgotten: those events have
// their first unavailable failure once more.
const maxSetbacks = 10_000

// of returns the setback of an event, and begins it if there is none.
func (ss setbacks) of(now time.Time, key dedupe.Key) *setback {
	s := ss[key]
	if s == nil {
		if len(ss) >= maxSetbacks {
			ss.forgetOlderHalf()
		}
		s = &setback{since: now}
		ss[key] = s
	}
	return s
}

func (ss setbacks) forgetOlderHalf() {
	keys := slices.SortedFunc(maps.Keys(ss), func(a, b dedupe.Key) int {
		return cmp.Or(ss[a].since.Compare(ss[b].since), cmp.Compare(a.String(), b.String()))
	})
	for _, k := range keys[:len(keys)/2] {
		delete(ss, k)
	}
}

// blameEvent judges an unavailable failure as what it is if it is the event's own: the event had
// another before, and between the two runs, one of another event began and succeeded. While others
// fail too, it is nobody's.
func (p *startPace) blameEvent(now time.Time, j *Job) {
	s := p.setbacks.of(now, j.key)
	own := !s.unavailableAt.IsZero() && j.provenAtStart.After(s.unavailableAt) && p.onlyFailureIs(j.key)
	s.unavailableAt = now
	if !own {
		s.inARow++
		return
	}
	s.inARow = 0
	j.verdict.Kind = Failure
	if j.verdict.Own == Permanent {
		j.verdict.Kind = Permanent
	}
}

// wasTried reports whether an event failed since the receiver became unavailable. Then others are
// tried first, for as long as another gap: not every event may be as good a probe.
func (p *startPace) wasTried(now time.Time, key dedupe.Key) bool {
	s := p.setbacks[key]
	return p.isUnavailable() && s != nil && !s.unavailableAt.Before(p.unavailableSince) && now.Before(p.nextStart.Add(p.gap))
}

// Unavailable returns since when the receiver is unavailable; ok is false if it is not. reason is
// that of the last run that slowed the pace.
func (m *Machine) Unavailable() (since time.Time, reason string, ok bool) {
	return m.pace.unavailableSince, m.pace.reason, m.pace.isUnavailable()
}

// Allowed is how many runs there may be at once now. 0 is one at a time with a gap between, or
// none.
func (m *Machine) Allowed() int {
	if m.pace.oneAtATime() || m.capacity == 0 {
		return 0
	}
	return m.allowedRuns()
}
