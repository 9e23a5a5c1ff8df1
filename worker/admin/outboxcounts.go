package admin

import (
	"context"
	"errors"
	"time"

	"github.com/onceish/onceish/worker"
)

const (
	// countRowsEvery is how old counts are at least before rows are counted again.
	countRowsEvery = 15 * time.Second
	// countRowsShare is which part of the time may be spent counting: one of fifty.
	countRowsShare = 50
)

// countedRows keeps what an outbox was counted to have, because counting takes its time where it is
// large. One overview at a time uses it.
type countedRows struct {
	last   *OutboxOverview
	again  time.Time
	reason error // why it could not be counted last
}

// read returns the counts, which may be old; nil: there is no outbox.
func (c *countedRows) read(ctx context.Context, a *API) (*OutboxOverview, error) {
	begun := time.Now()
	if begun.Before(c.again) {
		return c.last, c.reason
	}
	counted, err := a.countRows(ctx, &OutboxQuery{})
	ended := time.Now()
	c.again = ended.Add(max(countRowsEvery, countRowsShare*ended.Sub(begun)))
	switch {
	case errors.Is(err, worker.ErrNoOutbox):
		c.last, c.reason = nil, nil
	case err != nil:
		c.reason = err
	default:
		c.last, c.reason = &OutboxOverview{OutboxCounts: counted.Body, At: ended.UTC()}, nil
	}
	return c.last, c.reason
}
