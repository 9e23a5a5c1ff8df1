package admin

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/outbox"
	"github.com/onceish/onceish/worker"
)

const (
	// countRowsEvery is how old counts are at least before rows are counted again.
	countRowsEvery = 15 * time.Second
	// mostRows is how many rows of a kind are counted at most.
	mostRows = 10_000
)

// countedRows keeps what an outbox was counted to have. One overview at a time uses it.
type countedRows struct {
	last   *OutboxOverview
	again  time.Time // before which nothing is counted
	reason error     // why it could not be counted last
}

// read returns the counts, which may be old; nil: there is no outbox.
func (c *countedRows) read(ctx context.Context, a *API) (*OutboxOverview, error) {
	if time.Now().Before(c.again) {
		return c.last, c.reason
	}
	counted, err := a.countBacklog(ctx)
	c.again = time.Now().Add(countRowsEvery)
	switch {
	case errors.Is(err, worker.ErrNoOutbox):
		c.last, c.reason = nil, nil
	case err != nil:
		c.reason = err
	default:
		c.last, c.reason = counted, nil
	}
	return c.last, c.reason
}

// countBacklog counts the rows that are left to do, at a cost that is bounded.
func (a *API) countBacklog(ctx context.Context) (*OutboxOverview, error) {
	box, err := a.openOutbox(ctx, "")
	if err != nil {
		return nil, err
	}
	counter, ok := box.Admin.(outbox.BacklogCounter)
	if !ok {
		return nil, errors.New("the outbox has no count that is bounded")
	}
	n, err := counter.CountBacklog(ctx, mostRows)
	if err != nil {
		return nil, err
	}
	return &OutboxOverview{
		Outbox: box.Name(), Pending: n.Pending, Dead: n.Dead, Scheduled: n.Scheduled, OldestPendingSeconds: n.Oldest.Seconds(), Most: mostRows, At: time.Now().UTC(),
	}, nil
}
