package outbox

import (
	"context"
	"errors"

	"github.com/onceish/onceish/internal/backoff"
)

// maxRelease is about how many scheduled rows are made pending in one call.
const maxRelease = 1_000

// releaseDue makes scheduled rows pending when they are due, where the store can have some. It
// looks for them every Options.PollMax, and when the next one is known to be due. A paused drainer
// does too: what is due is its backlog.
func (d *Drainer) releaseDue(ctx context.Context) {
	q, ok := d.queue.(DueReleaser)
	if !ok {
		return
	}
	failures, expected := 0, false
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, d.o.Lease)
		out, err := q.ReleaseDue(call, maxRelease)
		cancel()
		if ctx.Err() != nil || errors.Is(err, errors.ErrUnsupported) {
			return
		}
		d.recordStoreCall("release due rows", err)
		if out.Rows > 0 || expected { // another drainer may have been faster with rows of this one
			d.Notify()
		}
		wait := d.o.PollMax
		expected = err == nil && out.Next > 0 && out.Next <= wait
		switch {
		case err != nil:
			wait = backoff.Doubled(retryBase, failures, retryMax)
			failures++
		case out.Rows >= maxRelease: // there may be more
			failures, wait = 0, 0
		case expected:
			failures, wait = 0, max(out.Next, d.o.PollMin)
		default:
			failures = 0
		}
		_ = backoff.Sleep(ctx, wait) // the loop looks at ctx
	}
}
