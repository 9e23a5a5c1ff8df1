package flow

import (
	"math"
	"time"
)

// limitState is what a limit remembers of one key. Times are nanoseconds of the Unix epoch, on the
// clock of whoever keeps it. It never goes back in time.
type limitState struct {
	// at is when tokens was right, or the start of the window.
	at int64
	// closed is when the key opens again.
	closed int64
	// tokens are left in the bucket.
	tokens float64
	// count is the starts in the window, or in the log; previous those in the window before.
	count, previous int
	// log has the starts that still count, oldest first.
	log []startedAt
}

// startedAt is n starts that began at a time, or later.
type startedAt struct {
	at int64
	n  int
}

// rounding is the part of a start that floating point may lose.
const rounding = 1e-6

// newState returns the state of a key that nothing has started for.
func newState(r *Rate, now int64) limitState {
	switch r.Strategy {
	case TokenBucket:
		return limitState{at: now, tokens: float64(r.capacity())}
	case FixedWindow, SlidingWindow:
		return limitState{at: now - now%int64(r.Per)}
	default:
		return limitState{at: now}
	}
}

// exhaustedState returns the state of a key that as much as may has just started for.
func exhaustedState(r *Rate, now int64) limitState {
	s := newState(r, now)
	s.charge(r, now, r.capacity())
	return s
}

// takeStarts takes up to most starts. If fewer than least are free it takes none, and returns how
// long the wait for least is. last is the latest time at which they will begin; now if it is now.
func (s *limitState) takeStarts(r *Rate, now, last int64, least, most int) (taken int, wait time.Duration) {
	now = s.advance(r, now)
	free := s.free(r, now)
	if s.closed > now || free < least {
		return 0, s.waitFor(r, now, least)
	}
	taken = min(free, most)
	s.charge(r, max(now, last), taken)
	return taken, 0
}

// advance brings the state up to now, and returns the time that counts: an earlier one does not.
func (s *limitState) advance(r *Rate, now int64) int64 {
	per := int64(r.Per)
	switch r.Strategy {
	case TokenBucket:
		now = max(now, s.at)
		s.tokens = min(float64(r.capacity()), s.tokens+float64(now-s.at)*float64(r.Limit)/float64(per))
		s.at = now
	case FixedWindow, SlidingWindow:
		now = max(now, s.at)
		switch start := now - now%per; start {
		case s.at:
		case s.at + per:
			s.at, s.previous, s.count = start, s.count, 0
		default:
			s.at, s.previous, s.count = start, 0, 0
		}
	case SlidingLog:
		gone := 0
		for gone < len(s.log) && s.log[gone].at <= now-per {
			s.count -= s.log[gone].n
			gone++
		}
		s.log = s.log[gone:]
	}
	return now
}

// free is how many may start, apart from a closure. The state must be up to now.
func (s *limitState) free(r *Rate, now int64) int {
	switch r.Strategy {
	case TokenBucket:
		return max(0, int(s.tokens+rounding))
	case SlidingWindow:
		return max(0, int(float64(r.Limit-s.count)-s.weighted(r, now)+rounding))
	default:
		return max(0, r.Limit-s.count)
	}
}

// weighted is what the window before counts for.
func (s *limitState) weighted(r *Rate, now int64) float64 {
	return float64(s.previous) * (1 - float64(now-s.at)/float64(r.Per))
}

// charge counts n starts that begin at a time. Those in the log are never out of order.
func (s *limitState) charge(r *Rate, at int64, n int) {
	if n < 1 {
		return
	}
	switch r.Strategy {
	case TokenBucket:
		s.tokens -= float64(n)
	case FixedWindow, SlidingWindow:
		s.count += n
	case SlidingLog:
		s.count += n
		if end := len(s.log) - 1; end >= 0 && s.log[end].at >= at {
			s.log[end].n += n
			return
		}
		s.log = append(s.log, startedAt{at, n})
	}
}

// waitFor is how long it takes until n may start if nobody else takes them: at least 1 ns.
func (s *limitState) waitFor(r *Rate, now int64, n int) time.Duration {
	per := float64(r.Per)
	var wait float64
	switch r.Strategy {
	case TokenBucket:
		wait = (float64(n) - s.tokens) * per / float64(r.Limit)
	case FixedWindow:
		if s.count+n > r.Limit {
			wait = float64(s.at + int64(r.Per) - now)
		}
	case SlidingWindow:
		wait = s.waitForWindow(r, now, n)
	case SlidingLog:
		excess := s.count + n - r.Limit
		for i := 0; i < len(s.log) && excess > 0; i++ {
			excess -= s.log[i].n
			wait = float64(s.log[i].at + int64(r.Per) - now)
		}
	}
	return time.Duration(max(1, wholeNanoseconds(wait), s.closed-now))
}

// wholeNanoseconds rounds up, and stays far enough below the bound of an int64 to be added to now.
func wholeNanoseconds(f float64) int64 { return int64(math.Ceil(min(f, 1<<61))) }

// waitForWindow solves for the time at which the window before weighs little enough: the one that
// it is now, or the current one when it has become that.
func (s *limitState) waitForWindow(r *Rate, now int64, n int) float64 {
	per, passed := float64(r.Per), float64(now-s.at)
	switch room := r.Limit - s.count - n; {
	case room >= s.previous:
		return 0
	case room >= 0:
		return per*(1-float64(room)/float64(s.previous)) - passed
	}
	return per - passed + per*(1-min(1, float64(r.Limit-n)/float64(s.count)))
}

// freshAt is when the state will be that of a new key.
func (s *limitState) freshAt(r *Rate) int64 {
	fresh := s.at
	switch per := int64(r.Per); r.Strategy {
	case TokenBucket:
		missing := max(0, float64(r.capacity())-s.tokens)
		fresh += wholeNanoseconds(missing * float64(per) / float64(r.Limit))
	case FixedWindow:
		if s.count > 0 {
			fresh += per
		}
	case SlidingWindow:
		switch {
		case s.count > 0:
			fresh += 2 * per
		case s.previous > 0:
			fresh += per
		}
	case SlidingLog:
		if end := len(s.log) - 1; end >= 0 {
			fresh = s.log[end].at + per
		}
	}
	return max(fresh, s.closed)
}

// closeUntil closes the key until a time. It never shortens a closure.
func (s *limitState) closeUntil(at int64) { s.closed = max(s.closed, at) }

// convertRate makes the state of one rate that of another. What is left stays left, up to what the
// new one allows: no change of numbers makes a burst, or waits for what the old ones wanted.
func (s *limitState) convertRate(from, to *Rate, now int64) {
	if *from == *to {
		return
	}
	now = s.advance(from, now)
	same := from.Strategy == to.Strategy
	if same && (from.Strategy == TokenBucket || from.Strategy == SlidingLog || from.Per == to.Per) {
		s.advance(to, now)
		return
	}
	used := s.count
	switch {
	case from.Strategy == TokenBucket || to.Strategy == TokenBucket:
		used = max(0, to.capacity()-s.free(from, now))
	case from.Strategy == SlidingWindow:
		used += int(math.Ceil(s.weighted(from, now)))
	}
	closed := s.closed
	*s = newState(to, now)
	s.charge(to, now, used)
	s.closed = closed
}
