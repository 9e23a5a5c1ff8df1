package protocol

import (
	"time"

	"github.com/onceish/onceish/internal/backoff"
)

// Backoff is how long retries wait. It grows from Base, doubling with every attempt, up to Max. The
// wait is drawn evenly between nothing and that ("full jitter"), so that events which failed
// together are not redelivered together.
type Backoff struct{ Base, Max time.Duration }

// delayAfter is how long to wait after the given attempt, 1 being the first.
func (b Backoff) delayAfter(attempt int, random float64) time.Duration {
	return time.Duration(random * float64(backoff.Doubled(b.Base, attempt-1, b.Max)))
}

// retryDelay is how long an event waits for its next run. One that conflicted is redelivered soon,
// and not together with the event that it met: a lock is free again in no time, or once its owner's
// lease is over. One that was throttled is redelivered within as much time again as the receiver
// asked for, so that not all such events arrive when that is over.
func (m *Machine) retryDelay(j *Job) time.Duration {
	switch {
	case j.verdict.Kind == Throttled:
		least := j.verdict.After
		if !j.verdict.Timed {
			least = backoff.Doubled(m.cfg.Backoff.Base, m.pace.setbacks[j.key].inARow-1, m.cfg.Backoff.Max)
		}
		return least + time.Duration(m.cfg.Rand()*float64(least))
	case j.verdict.Timed:
		return j.verdict.After
	case j.verdict.Kind == Conflicted:
		soon := shortBackoff(j.arrivalCount())
		return soon/2 + time.Duration(m.cfg.Rand()*float64(soon/2))
	case j.verdict.Kind == Unavailable: // the pace spares the receiver
		return min(m.cfg.Backoff.delayAfter(m.pace.setbacks[j.key].inARow, m.cfg.Rand()), maxGap)
	default:
		return m.cfg.Backoff.delayAfter(j.Attempt(), m.cfg.Rand())
	}
}

// shortBackoff is after how long held copies are redelivered: 50 ms, doubling with their arrivals
// up to 5 s. Calls that failed are repeated likewise.
func shortBackoff(times int) time.Duration {
	return backoff.Doubled(50*time.Millisecond, times-1, maxShortBackoff)
}

const maxShortBackoff = 5 * time.Second

// maxEventAge is how old an event may get whose runs end so.
func (m *Machine) maxEventAge(k VerdictKind) time.Duration {
	if k == Throttled || k == Unavailable {
		return min(m.cfg.GiveUp, m.cfg.TTL/2)
	}
	return m.cfg.TTL / 2
}

// eventAge is for how long an event has been waiting to be done, as far as anybody remembers.
func (m *Machine) eventAge(now time.Time, j *Job) time.Duration {
	age := j.claim.Age + now.Sub(j.claimedAt)
	if s := m.pace.setbacks[j.key]; s != nil {
		age = max(age, now.Sub(s.since))
	}
	return age
}

// outlivesStream reports whether the stream has dropped the event by then.
func (m *Machine) outlivesStream(then time.Time, j *Job) bool {
	return m.cfg.MaxAge > 0 && m.busTime(then).Sub(j.position().Stored) >= m.cfg.MaxAge
}

// evictedNakDelay is when an event that had no room to wait is redelivered. It grows with the time
// for which its key has stood still: if all such events came back every few seconds, the bus would
// deliver little else, and never reach events of other keys behind them. So at least half of what
// is delivered is new, and the key waits at most as long again.
func (q *keyQueue) evictedNakDelay(now time.Time, arrivals int) time.Duration {
	return max(shortBackoff(arrivals), min(now.Sub(q.movedAt), maxEvictedDelay))
}

// maxEvictedDelay bounds evictedNakDelay, and the delay of what a limit holds back. As a bus
// delivers hundreds of events a second at least, a hundred thousand evicted ones leave room for
// others.
const maxEvictedDelay = 5 * time.Minute
