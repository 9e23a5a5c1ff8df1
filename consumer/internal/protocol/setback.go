package protocol

import (
	"cmp"
	"slices"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// setback is what this process remembers of an event whose runs here met trouble that may not be
// the event's own.
type setback struct {
	since         time.Time // the first of them
	unavailableAt time.Time // the last one that was unavailable; zero: there was none
	inARow        int       // those in a row that were no attempt
}

// maxSetbacks bounds what is remembered. Of more, the older half is forgotten: those events have
// their first unavailable failure once more.
const maxSetbacks = 10_000

// recordSetback remembers one more setback of an event.
func (m *Machine) recordSetback(now time.Time, key dedupe.Key) *setback {
	s := m.setbacks[key]
	if s == nil {
		if len(m.setbacks) >= maxSetbacks {
			m.forgetOldSetbacks()
		}
		s = &setback{since: now}
		m.setbacks[key] = s
	}
	return s
}

func (m *Machine) forgetOldSetbacks() {
	keys := make([]dedupe.Key, 0, len(m.setbacks))
	for k := range m.setbacks {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b dedupe.Key) int {
		return cmp.Or(m.setbacks[a].since.Compare(m.setbacks[b].since), cmp.Compare(a.String(), b.String()))
	})
	for _, k := range keys[:len(keys)/2] {
		delete(m.setbacks, k)
	}
}

// attributeFailure decides whose fault a failed run is, and how fast others may start now.
func (m *Machine) attributeFailure(now time.Time, j *Job) {
	v, gap := &j.verdict, m.pace.gap
	began := now.Add(-j.took)
	switch v.Kind {
	case Throttled:
		m.pace.recordThrottled(now, began, v.Error)
		m.recordSetback(now, j.key).inARow++
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
		m.releaseForGap(now)
	}
}

// atMostOneActive reports whether there is one event that runs, or could run now, at most.
func (m *Machine) atMostOneActive() bool {
	n := 0
	for p := queued; p <= running; p++ {
		n += m.count[p]
	}
	return n <= 1
}

// blameEvent judges an unavailable failure as what it is if it is the event's own: the event had another
// before, and between the two runs, one of another event began and succeeded. While others fail
// too, it is nobody's.
func (m *Machine) blameEvent(now time.Time, j *Job) {
	s := m.recordSetback(now, j.key)
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

// eventAge is for how long an event has been waiting to be done, as far as anybody remembers.
func (m *Machine) eventAge(now time.Time, j *Job) time.Duration {
	age := j.claim.Age + now.Sub(j.claimedAt)
	if s := m.setbacks[j.key]; s != nil {
		age = max(age, now.Sub(s.since))
	}
	return age
}
