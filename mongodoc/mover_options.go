package mongodoc

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	mongooutbox "github.com/onceish/onceish/outbox/mongo"
)

const (
	shortestPoll = 10 * time.Millisecond
	longestPoll  = time.Second
)

// MoverOptions of a Mover. The zero value, and nil, are the defaults.
type MoverOptions struct {
	// Databases that have the documents. Default: the outbox's own. Events that wait in another
	// database stay there.
	Databases []*driver.Database
	// Timeout bounds each round trip to the documents, together with the deadline of ctx. Default:
	// 10 s.
	Timeout time.Duration
	// Moved is called when events were moved; it must not block. Give it the Notify of a drainer in
	// this process.
	Moved func()
	// PollMin and PollMax bound how long an idle mover waits before it looks for events again,
	// unless it is woken; 10 ms doubling to 1 s.
	PollMin, PollMax time.Duration
	// Logger; slog.Default().
	Logger *slog.Logger
}

func (o *MoverOptions) withDefaults(q *mongooutbox.Queue) (MoverOptions, error) {
	c := *cmp.Or(o, &MoverOptions{})
	if len(c.Databases) == 0 {
		c.Databases = []*driver.Database{q.Collection().Database()}
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.Moved == nil {
		c.Moved = func() {}
	}
	c.PollMax = cmp.Or(c.PollMax, max(longestPoll, c.PollMin))
	c.PollMin = cmp.Or(c.PollMin, min(shortestPoll, c.PollMax))
	c.Logger = cmp.Or(c.Logger, slog.Default())
	for i, db := range c.Databases {
		if db == nil {
			return c, fmt.Errorf("mongodoc: MoverOptions.Databases[%d] is nil", i)
		}
	}
	if c.Timeout < 0 {
		return c, fmt.Errorf("mongodoc: MoverOptions.Timeout is %v; it must be positive, or zero for %v", c.Timeout, defaultTimeout)
	}
	if c.PollMin < 0 || c.PollMax < c.PollMin {
		return c, fmt.Errorf("mongodoc: MoverOptions.PollMin is %v and PollMax is %v; they must be positive, and PollMax no less, or zero for %v and %v",
			c.PollMin, c.PollMax, shortestPoll, longestPoll)
	}
	return c, nil
}
