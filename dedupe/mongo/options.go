package mongo

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// defaultTimeout of a call; longer than a failover takes as a rule.
const defaultTimeout = 10 * time.Second

// Options of a Store. The zero value, and nil, are the defaults.
type Options struct {
	// Timeout bounds each call, together with the deadline of its ctx. Default 10 s.
	Timeout time.Duration
	// WriteConcern of claims and marks. Default majority: what was answered survives the loss of a
	// node. With a weaker one, such as w:1 for telemetry, a failover may take marks back, and their
	// events run again if they are delivered again.
	WriteConcern *writeconcern.WriteConcern
	// Logger is told, once, of rows that only a later version can read. Nil: slog.Default().
	Logger *slog.Logger
	// now is the clock of this machine; tests skew it.
	now func() time.Time
}

func (o *Options) withDefaults() (Options, error) {
	c := *cmp.Or(o, &Options{})
	if c.Timeout < 0 {
		return c, fmt.Errorf("dedupe/mongo: Options.Timeout is %v; it must be positive, or zero for %v", c.Timeout, defaultTimeout)
	}
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.WriteConcern = cmp.Or(c.WriteConcern, writeconcern.Majority())
	if !c.WriteConcern.Acknowledged() {
		return c, errors.New("dedupe/mongo: Options.WriteConcern is w:0; a claim needs an answer, use w:1 or more")
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}
