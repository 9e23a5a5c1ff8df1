package flow

import (
	"errors"
	"fmt"
	"time"
)

// Strategy is how a limit counts. The package comment compares them.
type Strategy int

const (
	// TokenBucket lets Burst start at once, and refills evenly: Limit in each Per.
	TokenBucket Strategy = iota
	// FixedWindow lets Limit start in each window of Per. Windows follow each other from the Unix
	// epoch on, so one of an hour begins at the full hour of UTC.
	FixedWindow
	// SlidingWindow weighs the window before by how much of it lies less than Per ago.
	SlidingWindow
	// SlidingLog remembers each start: never more than Limit in any time of Per.
	SlidingLog
)

var strategyNames = [...]string{"token-bucket", "fixed-window", "sliding-window", "sliding-log"}

// String returns the name of the strategy, such as token-bucket.
func (s Strategy) String() string {
	if s < 0 || int(s) >= len(strategyNames) {
		return fmt.Sprintf("strategy %d", int(s))
	}
	return strategyNames[s]
}

// ParseStrategy returns the strategy of a name that String returns. The empty name is TokenBucket.
func ParseStrategy(name string) (Strategy, error) {
	if name == "" {
		return TokenBucket, nil
	}
	for s, n := range strategyNames {
		if n == name {
			return Strategy(s), nil
		}
	}
	return 0, fmt.Errorf("unknown strategy %q: it must be one of %q", name, strategyNames)
}

// Rate is how many starts may begin in which time: Limit per Per. 2 per 2 s is not 1 per 1 s: it
// lets two begin at once.
type Rate struct {
	// Limit is how many may start in Per: 1 to 1e9, and at most 1e6 for SlidingLog.
	Limit int
	// Per is the time that Limit is for: 1 ms to 366 days.
	Per time.Duration
	// Burst is how many may start at once after a pause: 1 to 1e9. Zero: Limit. Only a TokenBucket
	// has one.
	Burst int
	// Strategy is how starts are counted. Default: TokenBucket.
	Strategy Strategy
}

// ErrInvalidRate is returned when a Rate cannot be kept. The text names the field and its bound.
var ErrInvalidRate = errors.New("invalid rate")

const (
	maxLimit    = 1_000_000_000
	maxLogLimit = 1_000_000
	minPer      = time.Millisecond
	maxPer      = 366 * 24 * time.Hour
)

// Validate returns an ErrInvalidRate that names the first field that is out of bounds.
func (r Rate) Validate() error {
	most := maxLimit
	if r.Strategy == SlidingLog {
		most = maxLogLimit
	}
	switch {
	case r.Strategy < 0 || int(r.Strategy) >= len(strategyNames):
		return fmt.Errorf("%w: Strategy is %d: it must be 0 to %d", ErrInvalidRate, r.Strategy, len(strategyNames)-1)
	case r.Limit < 1 || r.Limit > most:
		return fmt.Errorf("%w: Limit is %d: it must be 1 to %d for a %v", ErrInvalidRate, r.Limit, most, r.Strategy)
	case r.Per < minPer || r.Per > maxPer:
		return fmt.Errorf("%w: Per is %v: it must be %v to %v", ErrInvalidRate, r.Per, minPer, maxPer)
	case r.Burst != 0 && r.Strategy != TokenBucket:
		return fmt.Errorf("%w: Burst is %d: it must be 0 for a %v, for only a token bucket has a burst", ErrInvalidRate, r.Burst, r.Strategy)
	case r.Burst < 0 || r.Burst > maxLimit:
		return fmt.Errorf("%w: Burst is %d: it must be 1 to %d, or 0 for Limit", ErrInvalidRate, r.Burst, maxLimit)
	}
	return nil
}

// capacity is how many may start at once when nothing has started for long.
func (r *Rate) capacity() int {
	if r.Strategy == TokenBucket && r.Burst > 0 {
		return r.Burst
	}
	return r.Limit
}

// dividedBy is the share of one of so many: at least one start in Per.
func (r *Rate) dividedBy(members int) Rate {
	share := *r
	share.Limit = max(1, r.Limit/members)
	if r.Burst > 0 {
		share.Burst = max(1, r.Burst/members)
	}
	return share
}

// checkCount refuses a number of starts that no call may take.
func (r *Rate) checkCount(n int) error {
	if n < 1 || n > r.capacity() {
		return fmt.Errorf("flow: %d starts at once: it must be 1 to %d", n, r.capacity())
	}
	return nil
}
