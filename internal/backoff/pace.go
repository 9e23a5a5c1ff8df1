package backoff

import (
	"context"
	"time"
)

// Pace bounds how much is done in a second, in steps. A step that comes late, after an outage for
// example, does not let the next ones come sooner. It is not safe for concurrent use.
type Pace struct {
	// PerSecond is how much is done in a second at most. Zero or below: as much as possible.
	PerSecond float64

	next time.Time
}

// Await waits until the next step may begin, which does so much. It returns the cause of the end of
// ctx if that comes first.
func (p *Pace) Await(ctx context.Context, count int) error {
	if p.PerSecond <= 0 {
		return context.Cause(ctx)
	}
	if err := Sleep(ctx, time.Until(p.next)); err != nil {
		return err
	}
	p.next = time.Now().Add(time.Duration(float64(count) / p.PerSecond * float64(time.Second)))
	return nil
}
