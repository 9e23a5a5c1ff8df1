package kv

import (
	"context"
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
		var info struct {
			apiAnswer

			Time time.Time `json:"ts"`
		}
		err := requestOne(ctx, x, &nats.Msg{Subject: subject}, "stream info", &info)
		if err == nil && info.Time.IsZero() {
			err = fmt.Errorf("%w: its stream info tells no time", ErrServerTooOld)
		}
		return info.Time, err
	}
	return &clock{Clock: serverclock.New(local, ask, maxDoubt), nc: nc, subject: subject}
}

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
