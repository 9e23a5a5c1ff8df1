package deferral

import (
	"cmp"
	"fmt"
	"time"

	"github.com/onceish/onceish/flow"
)

// Overflow is what becomes of an event that would be deferred when Config.MaxKeys keys have
// deferred events already, and its own is not among them.
type Overflow uint8

const (
	// Run runs it at once.
	Run Overflow = iota
	// DeadLetter dead-letters it. Tracker.Track returns ErrOverflow.
	DeadLetter
)

// String returns the name of the overflow, such as dead-letter.
func (o Overflow) String() string {
	if o == DeadLetter {
		return "dead-letter"
	}
	return "run"
}

// ParseOverflow returns the overflow of a name that String returns. The empty name is Run.
func ParseOverflow(name string) (Overflow, error) {
	switch name {
	case "", Run.String():
		return Run, nil
	case DeadLetter.String():
		return DeadLetter, nil
	}
	return Run, fmt.Errorf("overflow %.64q: it must be %q or %q", name, Run, DeadLetter)
}

// Defaults of Config.
const (
	DefaultInterval = 30 * time.Second
	DefaultMaxKeys  = 100_000
)

// Config is what can be changed while a Tracker runs (Tracker.Update).
type Config struct {
	// Rate is how many events of a key run at once, in which time, and how they are counted. What
	// exceeds it is deferred. Required.
	Rate flow.Rate
	// Interval is how long a deferred event waits at most until its summary is due, from 100 ms to
	// 30 days. Default: 30 s.
	Interval time.Duration
	// MaxKeys is how many keys may have deferred events at once, 1 to 10,000,000. Default: 100,000.
	MaxKeys int
	// Overflow is what becomes of what exceeds MaxKeys. Default: Run.
	Overflow Overflow
}

const (
	minInterval = 100 * time.Millisecond
	maxInterval = 30 * 24 * time.Hour
	maxMaxKeys  = 10_000_000
)

func (c Config) withDefaults() (Config, error) {
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	c.MaxKeys = cmp.Or(c.MaxKeys, DefaultMaxKeys)
	if err := c.Rate.Validate(); err != nil {
		return c, fmt.Errorf("%w: Config.Rate: %w", ErrConfig, err)
	}
	switch {
	case c.Interval < minInterval || c.Interval > maxInterval:
		return c, fmt.Errorf("%w: Config.Interval is %v: it must be from %v to %v", ErrConfig, c.Interval, minInterval, maxInterval)
	case c.MaxKeys < 1 || c.MaxKeys > maxMaxKeys:
		return c, fmt.Errorf("%w: Config.MaxKeys is %d: it must be from 1 to %d", ErrConfig, c.MaxKeys, maxMaxKeys)
	case c.Overflow > DeadLetter:
		return c, fmt.Errorf("%w: Config.Overflow is %d: it must be Run or DeadLetter", ErrConfig, c.Overflow)
	}
	return c, nil
}

// fits returns why a deferred event could be gone before its summary is done: the stream keeps
// events for maxAge (0: for ever), and marks are kept for ttl.
func (c *Config) fits(maxAge, ttl time.Duration) error {
	switch {
	case maxAge > 0 && c.Interval > maxAge/2:
		return fmt.Errorf("%w: Config.Interval is %v, and the stream of deferred events keeps them for %v: "+
			"it must be half of that or less, so that a summary can be retried; raise max_age of the stream, or lower the interval", ErrConfig, c.Interval, maxAge)
	case c.Interval > ttl/4:
		return fmt.Errorf("%w: Config.Interval is %v, and marks are kept for %v: it must be a quarter of that or less; raise the TTL of marks, or lower the interval",
			ErrConfig, c.Interval, ttl)
	}
	return nil
}
