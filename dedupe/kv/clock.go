package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/internal/serverclock"
)

// maxDoubt is how badly the server's time may be known; beyond it nothing is judged by it.
const maxDoubt = time.Second

// clock is the time of the stream's leader, by which it stamps what it stores. After a reconnect it
// is measured again.
type clock struct {
	*serverclock.Clock

	nc         *nats.Conn
	reconnects atomic.Uint64
	subject    string
}

func newClock(nc *nats.Conn, x requester, subject string, local func() time.Time) *clock {
	ask := func(ctx context.Context) (time.Time, error) {
		answers, err := x.sendAll(ctx, 1, func(int) *nats.Msg { return &nats.Msg{Subject: subject} })
		if err != nil {
			return time.Time{}, err
		}
		return parseServerTime(answers[0])
	}
	return &clock{Clock: serverclock.New(local, ask, maxDoubt), nc: nc, subject: subject}
}

// now reads the clock.
func (c *clock) now(ctx context.Context) (serverclock.Instant, error) {
	if n := c.nc.Stats().Reconnects; c.reconnects.Swap(n) != n {
		c.Distrust()
	}
	at, err := c.Read(ctx)
	if err != nil {
		return serverclock.Instant{}, fmt.Errorf("%w: %w", ErrClockUncertain, err)
	}
	return at, nil
}

func parseServerTime(m *nats.Msg) (time.Time, error) {
	if err := statusError(m); err != nil {
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
		return time.Time{}, info.Error.mapError()
	}
	if info.Time.IsZero() {
		return time.Time{}, fmt.Errorf("%w: its stream info tells no time", ErrServerTooOld)
	}
	return info.Time, nil
}
