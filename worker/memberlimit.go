package worker

import (
	"context"
	"time"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/flow"
)

// memberLimit is a limit behind which an event passes the membership again: a process may have been
// frozen while it waited.
type memberLimit struct {
	limiter flow.Limiter
	member  *membership
}

var (
	_ flow.Limiter   = (*memberLimit)(nil)
	_ flow.KeyCloser = (*memberLimit)(nil)
)

// Allow implements flow.Limiter.
func (l *memberLimit) Allow(ctx context.Context, key string, n int) (flow.Decision, error) {
	d, err := l.limiter.Allow(ctx, key, n)
	if err == nil && d.Allowed {
		_, err = l.member.Enter(ctx)
	}
	return d, err
}

// CloseFor implements flow.KeyCloser, if the limiter does.
func (l *memberLimit) CloseFor(ctx context.Context, key string, d time.Duration) error {
	if closer, ok := l.limiter.(flow.KeyCloser); ok {
		return closer.CloseFor(ctx, key, d)
	}
	return nil
}

// guard makes every start pass the membership before the gates and behind what it may wait for.
func (m *membership) guard(o *consumer.Options) {
	waits := len(o.Gates) > 0
	o.Gates = append([]flow.Gate{m}, o.Gates...)
	switch {
	case o.Limit != nil:
		o.Limit = &memberLimit{o.Limit, m}
	case waits:
		o.Gates = append(o.Gates, m)
	}
}
