package protocol

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

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

// attributeFailure decides whose fault a failed run is, and how fast others may start now.
func (m *Machine) attributeFailure(now time.Time, j *Job) {
	v, gap := &j.verdict, m.pace.gap
	began := now.Add(-j.took)
	switch v.Kind {
	case Throttled:
		m.pace.recordThrottled(now, began, v.Error)
		m.setbacks.of(now, j.key).inARow++
	case Unavailable:
		m.pace.recordUnavailable(now, began, j.key, v.Error, m.atMostOneActive())
		m.blameEvent(now, j)
	case Failure, Permanent:
		if !v.Overran {
			m.pace.recordReached(began)
		}
	default: // it says nothing of the receiver
	}
	if gap == m.pace.gap || !m.pace.oneAtATime() {
		return
	}
	m.pace.scheduleNext(now, m.cfg.Rand())
	if gap == 0 {
		m.postponeClaimed(now)
	}
}

// atMostOneActive reports whether at most one event runs, or could run now.
func (m *Machine) atMostOneActive() bool {
	n := 0
	for p := queued; p <= running; p++ {
		n += m.jobs.count[p]
	}
	return n <= 1
}

// blameEvent judges an unavailable failure as what it is if it is the event's own: the event had
// another before, and between the two runs, one of another event began and succeeded. While others
// fail too, it is nobody's.
func (m *Machine) blameEvent(now time.Time, j *Job) {
	s := m.setbacks.of(now, j.key)
	own := !s.unavailableAt.IsZero() && j.provenAtStart.After(s.unavailableAt) && m.pace.onlyFailureIs(j.key)
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
func (m *Machine) wasTried(now time.Time, key dedupe.Key) bool {
	s := m.setbacks[key]
	return m.pace.isUnavailable() && s != nil && !s.unavailableAt.Before(m.pace.unavailableSince) &&
		now.Before(m.pace.nextStart.Add(m.pace.gap))
}
