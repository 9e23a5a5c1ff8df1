package mongo

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// measureEvery bounds the age of a measurement.
	measureEvery = time.Minute
	// goodDoubt ends a measurement: another round trip would gain little.
	goodDoubt = 10 * time.Millisecond
	// maxDoubt is the most that may be added to a lease.
	maxDoubt = 5 * time.Second
	// drift is what a clock loses or gains at most: twice what NTP slews.
	drift = 1000
)

// clock tells the server's time without asking for it: an inserted document cannot carry it. It is local monotonic time
// and an offset that is measured anew each minute, after an error, and when this machine slept or its wall clock was
// set. Safe for concurrent use.
type clock struct {
	local func() time.Time
	// ask is one round trip to the server for its time.
	ask func(ctx context.Context) (time.Time, error)

	mu      sync.Mutex
	last    sample
	suspect time.Time // what was measured before is not trusted
	busy    bool      // somebody measures; others do with the last sample
}

// sample: at the local time at, the server's was server, give or take doubt.
type sample struct {
	at, server time.Time
	doubt      time.Duration
}

// instant is a reading: the server's time, give or take doubt.
type instant struct {
	time  time.Time
	doubt time.Duration
}

// until is the time in d from now, rather later than sooner.
func (i instant) until(d time.Duration) time.Time { return i.time.Add(i.doubt + d + time.Millisecond) }

// read tells the server's time. It blocks for a measurement when one is due.
func (c *clock) read(ctx context.Context) (instant, error) {
	now := c.local()
	s, ok := c.current(now)
	if !ok {
		var err error
		if s, err = c.measure(ctx); err != nil {
			return instant{}, err
		}
		now = c.local()
	}
	age := now.Sub(s.at)
	i := instant{time: s.server.Add(age), doubt: s.doubt + age/drift}
	if i.doubt > maxDoubt {
		return instant{}, fmt.Errorf("%w: round trips take up to %v, of which a lease bears %v; look for a slow network, or a connection pool that is too small",
			ErrClock, 2*i.doubt, 2*maxDoubt)
	}
	return i, nil
}

// distrust makes the next reading a measurement: the server may be another by now.
func (c *clock) distrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect = c.local()
}

// current is the last sample, if it may be used. One caller per minute is told no, and measures.
func (c *clock) current(now time.Time) (sample, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.last
	if s.at.IsZero() || !c.suspect.Before(s.at) || leapt(s.at, now) {
		return s, false
	}
	if now.Sub(s.at) < measureEvery || c.busy && now.Sub(s.at) < 2*measureEvery {
		return s, true
	}
	c.busy = true
	return s, false
}

// leapt tells whether monotonic time and wall time disagree: the machine slept (monotonic time stands still
// meanwhile on some systems), or its clock was set.
func leapt(then, now time.Time) bool {
	d := now.Round(0).Sub(then.Round(0)) - now.Sub(then)
	return d > time.Second || d < -time.Second || now.Before(then)
}

// measure keeps the best of three round trips.
func (c *clock) measure(ctx context.Context) (sample, error) {
	best, err := c.once(ctx)
	for i := 0; i < 2 && err == nil && best.doubt > goodDoubt; i++ {
		var s sample
		if s, err = c.once(ctx); err == nil && s.doubt < best.doubt {
			best = s
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	if err != nil {
		return sample{}, err
	}
	c.last = best
	return best, nil
}

// once takes the answer for the middle of its round trip. A server's time comes in whole milliseconds.
func (c *clock) once(ctx context.Context) (sample, error) {
	sent := c.local()
	server, err := c.ask(ctx)
	if err != nil {
		return sample{}, fmt.Errorf("asking the server for its time: %w", err)
	}
	half := c.local().Sub(sent) / 2
	return sample{at: sent.Add(half), server: server, doubt: half + time.Millisecond}, nil
}
