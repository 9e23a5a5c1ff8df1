package mongoserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// ErrClock is returned when the server's clock cannot be told well enough to write a time that is
// compared with it. The call is repeated; the next one measures again.
var ErrClock = errors.New("server clock is not known well enough")

const (
	// measureEvery bounds the age of a measurement.
	measureEvery = time.Minute
	// goodDoubt ends a measurement after one round trip; beyond it there is another one, for the
	// first may have met a pause.
	goodDoubt = 250 * time.Millisecond
	// maxDoubt is the most that may be added to a lease.
	maxDoubt = 5 * time.Second
	// measureFor bounds a measurement, so that one which hangs holds nobody up for a lease. A later
	// answer is of no use.
	measureFor = 2 * maxDoubt
	// drift is what a clock loses or gains at most: twice what NTP slews.
	drift = 1000
)

// Clock tells the server's time without asking for it: an inserted document cannot carry it. It is
// local monotonic time and an offset that is measured anew each minute, after an error, and when
// this machine slept or its wall clock was set. There is one measurement at a time, for whoever
// needs it. Safe for concurrent use.
type Clock struct {
	local func() time.Time
	// ask is one round trip to the server for its time.
	ask func(ctx context.Context) (time.Time, error)

	mu      sync.Mutex
	last    sample
	suspect time.Time    // what was measured before is not trusted
	flight  *measurement // under way; nil: none
}

// measurement is one that callers share.
type measurement struct {
	done chan struct{} // closed once err is set
	err  error         // nil: the clock has a new sample, or whoever measured did not wait for one
}

// NewClock tells the time of the server that holds the database: the primary's, or a mongos's,
// whose clock $$NOW is there. local is the clock of this machine. It asks nothing until it is read.
func NewClock(db *mongo.Database, local func() time.Time) *Clock {
	return &Clock{local: local, ask: func(ctx context.Context) (time.Time, error) { return serverTime(ctx, db) }}
}

// Local is the clock of this machine.
func (c *Clock) Local() time.Time { return c.local() }

// serverTime is one round trip.
func serverTime(ctx context.Context, db *mongo.Database) (time.Time, error) {
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
	}
	err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}, options.RunCmd().SetReadPreference(readpref.Primary())).Decode(&hello)
	if err == nil && hello.LocalTime.IsZero() {
		err = errors.New("the server's hello has no localTime")
	}
	return hello.LocalTime, err
}

// sample: at the local time at, the server's was server, give or take doubt.
type sample struct {
	at, server time.Time
	doubt      time.Duration
}

// Instant is a reading: the server's time, give or take doubt.
type Instant struct {
	Time  time.Time
	Doubt time.Duration
}

// Until is the time in d from now, rather later than sooner.
func (i Instant) Until(d time.Duration) time.Time { return i.Time.Add(i.Doubt + d + time.Millisecond) }

// Read tells the server's time. It blocks for a measurement when one is due: its own, or the one
// that is under way.
func (c *Clock) Read(ctx context.Context) (Instant, error) {
	now := c.local()
	s, m, mine := c.current(now)
	for m != nil && !mine {
		if err := m.await(ctx); err != nil {
			return Instant{}, err
		}
		now = c.local()
		s, m, mine = c.current(now) // what was under way may have begun before this caller's server was gone
	}
	if mine {
		var err error
		if s, err = c.measure(ctx, m); err != nil {
			return Instant{}, err
		}
		now = c.local()
	}
	age := now.Sub(s.at)
	i := Instant{Time: s.server.Add(age), Doubt: s.doubt + age/drift}
	if i.Doubt > maxDoubt {
		return Instant{}, fmt.Errorf("%w: round trips take up to %v, of which a lease bears %v; look for a slow network, or a connection pool that is too small",
			ErrClock, 2*i.Doubt, 2*maxDoubt)
	}
	return i, nil
}

// await waits for somebody else's measurement.
func (m *measurement) await(ctx context.Context) error {
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

// current is the last sample, if it may be used; else the measurement to wait for, or to make, if
// it is the caller's.
func (c *Clock) current(now time.Time) (s sample, m *measurement, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = c.last
	trusted := !s.at.IsZero() && c.suspect.Before(s.at) && !leapt(s.at, now)
	age := now.Sub(s.at)
	if trusted && (age < measureEvery || c.flight != nil && age < 2*measureEvery) {
		return s, nil, false
	}
	if c.flight != nil {
		return s, c.flight, false
	}
	c.flight = &measurement{done: make(chan struct{})}
	return s, c.flight, true
}

// leapt reports whether monotonic time and wall time disagree: the machine slept (monotonic time
// stands still meanwhile on some systems), or its clock was set.
func leapt(then, now time.Time) bool {
	d := now.Round(0).Sub(then.Round(0)) - now.Sub(then)
	return d > time.Second || d < -time.Second || now.Before(then)
}

// measure makes a measurement that others wait for. They get its error, unless it is the caller who
// did not wait: then one of them measures.
func (c *Clock) measure(ctx context.Context, m *measurement) (sample, error) {
	bounded, cancel := context.WithTimeout(ctx, measureFor)
	defer cancel()
	s, err := c.takeSample(bounded)
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

// takeSample is one round trip, or the better one of two.
func (c *Clock) takeSample(ctx context.Context) (sample, error) {
	s, err := c.once(ctx)
	if err != nil || s.doubt <= goodDoubt {
		return s, err
	}
	if again, err := c.once(ctx); err == nil && again.doubt < s.doubt {
		s = again
	}
	return s, nil
}

// once takes the answer for the middle of its round trip. A server's time comes in
// whole milliseconds.
func (c *Clock) once(ctx context.Context) (sample, error) {
	sent := c.local()
	server, err := c.ask(ctx)
	if err != nil {
		return sample{}, fmt.Errorf("asking the server for its time: %w", err)
	}
	half := c.local().Sub(sent) / 2
	return sample{at: sent.Add(half), server: server, doubt: half + time.Millisecond}, nil
}
