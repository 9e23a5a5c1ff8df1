package http

import (
	"context"
	"fmt"
	"sync"

	"github.com/onceish/onceish/consumer"
)

// goneCalls calls Options.OnGone once for all runs that find the endpoint gone at the same time.
type goneCalls struct {
	onGone func(ctx context.Context, endpoint string) error

	mu      sync.Mutex
	current *goneCall // nil: none is under way
}

// goneCall is one call of OnGone, for the runs that wait for it.
type goneCall struct {
	done chan struct{}
	err  error
}

// report calls OnGone, or waits for the call that is under way, and returns its error.
func (g *goneCalls) report(ctx context.Context, endpoint string) error {
	g.mu.Lock()
	if call := g.current; call != nil {
		g.mu.Unlock()
		select {
		case <-call.done:
			return call.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	call := &goneCall{done: make(chan struct{})}
	g.current = call
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.current = nil
		close(call.done)
	}()
	call.err = g.onGone(ctx, endpoint)
	return call.err
}

// classifyGone is the verdict on an answer that says that the endpoint is gone for good. Once
// OnGone has stopped what posts there it is no attempt, whatever else succeeded. Without it, the
// event waits longer than while a service is away for a moment.
func (h *Handler) classifyGone(ctx context.Context, err error) error {
	if h.gone.onGone == nil {
		return consumer.Unavailable(consumer.RetryAfter(goneRetry, err))
	}
	if failed := h.gone.report(ctx, h.origin); failed != nil {
		return consumer.Unavailable(fmt.Errorf("%w; what posts there could not be stopped: %v", err, failed)) //nolint:errorlint // it is no verdict
	}
	return consumer.Throttled(0, err)
}
