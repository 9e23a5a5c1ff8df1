package serverclock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUncertain is returned when the server's time is not known well enough to write or judge a time
// that is compared with it. The call is repeated; the next one measures again.
var ErrUncertain = errors.New("server clock is not known well enough")

const (
	// measureEvery bounds the age of a measurement.
	measureEvery = time.Minute
	// goodDoubt ends a measurement after one round trip. Beyond it there is another one, because
	// the first may have met a pause.
	goodDoubt = 100 * time.Millisecond
	// measureFor bounds a measurement, so that one which hangs holds nobody up for a lease.
	measureFor = 10 * time.Second
	// drift is what a clock loses or gains at most, one part in so many: twice what NTP slews.
	drift = 1000
)

// Clock is the time of a server: local monotonic time and an offset that is measured again each
// minute, after an error, and when this machine slept or its wall clock was set. There is one
// measurement at a time, for all who need it. Safe for concurrent use.
type Clock struct {
	local    func() time.Time
	ask      func(ctx context.Context) (time.Time, error)
	maxDoubt time.Duration

	mu      sync.Mutex
	last    clockSample
	suspect time.Time          // what was measured before is not trusted
	flight  *sharedMeasurement // in progress; nil: none
}

// New returns the clock of the server that ask asks for its time, in one round trip. local is the
// clock of this machine. A reading in more than maxDoubt is ErrUncertain: it is what a lease bears.
// New asks nothing; the first reading does.
func New(local func() time.Time, ask func(ctx context.Context) (time.Time, error), maxDoubt time.Duration) *Clock {
	return &Clock{local: local, ask: ask, maxDoubt: maxDoubt}
}

// Local returns the time of this machine.
func (c *Clock) Local() time.Time { return c.local() }

type sharedMeasurement struct {
	done chan struct{} // closed once err is set
	err  error         // nil: the clock has a new sample, or whoever measured did not wait for one
}

// clockSample says that at the local time at the server's was server, give or take doubt.
type clockSample struct {
	at, server time.Time
	doubt      time.Duration
}

// Instant is a reading: the server's time, give or take doubt.
type Instant struct {
	Time  time.Time
	Doubt time.Duration
}

// Earliest returns the least that the server's time can be.
func (i Instant) Earliest() time.Time { return i.Time.Add(-i.Doubt) }

// Latest returns the most that the server's time can be.
func (i Instant) Latest() time.Time { return i.Time.Add(i.Doubt) }

// Until returns the time in d from now, rather later than sooner.
func (i Instant) Until(d time.Duration) time.Time { return i.Time.Add(i.Doubt + d + time.Millisecond) }

// Read returns the server's time. It blocks for a measurement when one is due: its own, or the one
// in progress.
func (c *Clock) Read(ctx context.Context) (Instant, error) {
	now := c.local()
	s, m, mine := c.currentSample(now)
	for m != nil && !mine {
		if err := m.awaitResult(ctx); err != nil {
			return Instant{}, err
		}
		now = c.local()
		s, m, mine = c.currentSample(now) // what was under way may have begun before this caller's server was gone
	}
	if mine {
		var err error
		if s, err = c.measureShared(ctx, m); err != nil {
			return Instant{}, err
		}
		now = c.local()
	}
	age := now.Sub(s.at)
	i := Instant{Time: s.server.Add(age), Doubt: s.doubt + age/drift}
	if i.Doubt > c.maxDoubt {
		c.Distrust()
		return Instant{}, fmt.Errorf("%w: round trips take up to %v, of which a lease bears %v; look for a slow network, a connection pool that is too small, or a server under too much load",
			ErrUncertain, 2*i.Doubt, 2*c.maxDoubt)
	}
	return i, nil
}

func (m *sharedMeasurement) awaitResult(ctx context.Context) error {
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the server's time: %w", ctx.Err())
	}
}

// Distrust makes the next reading a measurement: the server may be another by now.
func (c *Clock) Distrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspect = c.local()
}

// currentSample is the last sample, if it may be used; else the measurement to wait for, or to
// make, if it is the caller's.
func (c *Clock) currentSample(now time.Time) (s clockSample, m *sharedMeasurement, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = c.last
	trusted := !s.at.IsZero() && c.suspect.Before(s.at) && !clockLeapt(s.at, now)
	age := now.Sub(s.at)
	if trusted && (age < measureEvery || c.flight != nil && age < 2*measureEvery) {
		return s, nil, false
	}
	if c.flight != nil {
		return s, c.flight, false
	}
	c.flight = &sharedMeasurement{done: make(chan struct{})}
	return s, c.flight, true
}

// clockLeapt reports whether monotonic time and wall time disagree: the machine slept (monotonic
// time stands still meanwhile on some systems), or its clock was set.
func clockLeapt(then, now time.Time) bool {
	d := now.Round(0).Sub(then.Round(0)) - now.Sub(then)
	return d > time.Second || d < -time.Second || now.Before(then)
}

// measureShared makes a measurement that others wait for. They get its error, unless it is the
// caller who did not wait: then one of them measures.
func (c *Clock) measureShared(ctx context.Context, m *sharedMeasurement) (clockSample, error) {
	bounded, cancel := context.WithTimeout(ctx, measureFor)
	defer cancel()
	s, err := c.measureBest(bounded)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.last = s
	} else if ctx.Err() == nil {
		m.err = err
	}
	c.flight = nil
	close(m.done)
	return s, err
}

// measureBest is one round trip, or the best of two; of three, if the server's time would otherwise
// be uncertain.
func (c *Clock) measureBest(ctx context.Context) (clockSample, error) {
	s, err := c.roundTrip(ctx)
	if err != nil || s.doubt <= goodDoubt {
		return s, err
	}
	for range 2 {
		if again, err := c.roundTrip(ctx); err == nil && again.doubt < s.doubt {
			s = again
		}
		if s.doubt <= c.maxDoubt {
			break
		}
	}
	return s, nil
}

// roundTrip takes the answer for the middle of its round trip. A server's time comes in
// whole milliseconds.
func (c *Clock) roundTrip(ctx context.Context) (clockSample, error) {
	sent := c.local()
	server, err := c.ask(ctx)
	if err != nil {
		return clockSample{}, fmt.Errorf("asking the server for its time: %w", err)
	}
	half := c.local().Sub(sent) / 2
	return clockSample{at: sent.Add(half), server: server, doubt: half + time.Millisecond}, nil
}
