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
	since  time.Time // the first of them
	failed time.Time // the last one that was unavailable; zero: there was none
	times  int       // those in a row that were no attempt
}

// mostSetbacks bounds what is remembered. Of more, the older half is forgotten: those events have
// their first unavailable failure once more.
const mostSetbacks = 10_000

// setBack remembers one more setback of an event.
func (m *Machine) setBack(now time.Time, key dedupe.Key) *setback {
	s := m.setbacks[key]
	if s == nil {
		if len(m.setbacks) >= mostSetbacks {
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

// attribute decides whose fault a failed run is, and how fast others may start now.
func (m *Machine) attribute(now time.Time, j *Job) {
	v, gap := &j.verdict, m.pace.gap
	began := now.Add(-j.took)
	switch v.Kind {
	case Throttled:
		m.pace.throttled(now, began, v.Error)
		m.setBack(now, j.key).times++
	case Unavailable:
		m.pace.failedUnavailable(now, began, j.key, v.Error, m.onlyOne())
		m.blame(now, j)
	case Failure, Permanent:
		if !v.Overran {
			m.pace.reached(began)
		}
	default: // it says nothing of the receiver
	}
	if gap == m.pace.gap || !m.pace.spaced() {
		return
	}
	m.pace.wait(now, m.cfg.Rand())
	if gap == 0 {
		m.spaceOut(now)
	}
}

// onlyOne reports whether there is one event that runs, or could run now, at most.
func (m *Machine) onlyOne() bool {
	n := 0
	for p := queued; p <= running; p++ {
		n += m.count[p]
	}
	return n <= 1
}

// blame judges an unavailable failure as what it is if it is the event's own: the event had another
// before, and between the two runs, one of another event began and succeeded. While others fail
// too, it is nobody's.
func (m *Machine) blame(now time.Time, j *Job) {
	s := m.setBack(now, j.key)
	own := !s.failed.IsZero() && j.proven.After(s.failed) && m.pace.onlyThis(j.key)
	s.failed = now
	if !own {
		s.times++
		return
	}
	s.times = 0
	j.verdict.Kind = Failure
	if j.verdict.Own == Permanent {
		j.verdict.Kind = Permanent
	}
}

// age is for how long an event has been waiting to be done, as far as anybody remembers.
func (m *Machine) age(now time.Time, j *Job) time.Duration {
	age := j.claim.Age + now.Sub(j.claimed)
	if s := m.setbacks[j.key]; s != nil {
		age = max(age, now.Sub(s.since))
	}
	return age
}
