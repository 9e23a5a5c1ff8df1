package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// measureEvery is how long a measurement serves before it is repeated.
	measureEvery = time.Minute
	// goodUncertainty ends a measurement after one round trip: more would take the time of the call
	// that waits for them.
	goodUncertainty = 100 * time.Millisecond
	// maxUncertainty is how badly the server's time may be known; beyond it nothing is
	// judged by it.
	maxUncertainty = time.Second
	// drift is how far two clocks part in a second: ten times what quartz does.
	drift = 500 * time.Microsecond
)

// clock tells the time of the stream's leader, the one by which it stamps what it stores: the local
// monotonic clock plus an offset. The local time of day does not enter. Safe for concurrent use.
type clock struct {
	nc      *nats.Conn
	x       requester
	subject string
	// local is the local clock; only differences of its times count.
	local func() time.Time

	mu sync.Mutex
	// At the local time at, the server's was server, give or take spread.
	at, server time.Time
	spread     time.Duration
	// reconnects counts the connection's reconnects when it was measured; stale asks for
	// a measurement.
	reconnects uint64
	stale      bool
	measuring  bool
}

// moment is a reading of the clock: the server's time lies between its two.
type moment struct{ earliest, latest time.Time }

// likely is the best guess, for what is judged by nobody.
func (m moment) likely() time.Time { return m.earliest.Add(m.latest.Sub(m.earliest) / 2) }

// now reads the clock, and measures first where that is due. One caller measures; the others go on
// by the measurement before.
func (c *clock) now(ctx context.Context) (moment, error) {
	var err error
	if c.begin() {
		err = c.measure(ctx)
	}
	m, spread := c.read()
	if spread <= maxUncertainty {
		return m, nil
	}
	if err != nil {
		return moment{}, fmt.Errorf("%w: cannot measure it: %w", ErrClockUncertain, err)
	}
	return moment{}, fmt.Errorf("%w: known no better than ±%v: JetStream takes too long to answer", ErrClockUncertain, maxUncertainty)
}

// doubt asks for a measurement before the next reading: after an error the leader may be
// another server.
func (c *clock) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
}

// begin reports whether the caller is to measure.
func (c *clock) begin() bool {
	reconnects := c.nc.Stats().Reconnects
	c.mu.Lock()
	defer c.mu.Unlock()
	due := c.at.IsZero() || c.stale || reconnects != c.reconnects || c.local().Sub(c.at) >= measureEvery
	if !due || c.measuring {
		return false
	}
	c.measuring, c.stale, c.reconnects = true, false, reconnects
	return true
}

// measure asks the leader for its time, again while it is known badly, up to three times, and keeps
// the reading that is known best.
func (c *clock) measure(ctx context.Context) error {
	defer func() {
		c.mu.Lock()
		c.measuring = false
		c.mu.Unlock()
	}()
	var err error
	best := maxUncertainty + 1
	for range 3 {
		var at, server time.Time
		var spread time.Duration
		at, server, spread, err = c.ask(ctx)
		if err != nil {
			break
		}
		if spread < best {
			best = spread
			c.set(at, server, spread)
		}
		if best <= goodUncertainty {
			break
		}
	}
	if best > maxUncertainty && err != nil {
		c.doubt()
		return err
	}
	return nil
}

func (c *clock) set(at, server time.Time, spread time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.server, c.spread = at, server, spread
}

// ask makes one round trip. The server read its clock somewhere between request and answer.
func (c *clock) ask(ctx context.Context) (at, server time.Time, spread time.Duration, err error) {
	sent := c.local()
	answers, err := c.x.do(ctx, 1, func(int) *nats.Msg { return &nats.Msg{Subject: c.subject} })
	if err != nil {
		return at, server, 0, err
	}
	half := c.local().Sub(sent) / 2
	server, err = serverTime(answers[0])
	return sent.Add(half), server, half, err
}

func serverTime(m *nats.Msg) (time.Time, error) {
	if err := status(m); err != nil {
		return time.Time{}, err
	}
	var info struct {
		Error *apiError `json:"error"`
		Time  time.Time `json:"ts"`
	}
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return time.Time{}, fmt.Errorf("unreadable stream info: %w", err)
	}
	if info.Error != nil {
		return time.Time{}, info.Error.judge()
	}
	if info.Time.IsZero() {
		return time.Time{}, fmt.Errorf("%w: its stream info tells no time", ErrServerTooOld)
	}
	return info.Time, nil
}

// read extrapolates the last measurement.
func (c *clock) read() (moment, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return moment{}, maxUncertainty + 1
	}
	since := c.local().Sub(c.at)
	spread := c.spread + time.Duration(since.Seconds()*float64(drift))
	server := c.server.Add(since)
	return moment{server.Add(-spread), server.Add(spread)}, spread
}
