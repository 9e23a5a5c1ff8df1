package consumer

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// hook is one of Options.Assigned, Revoked and Lost.
type hook func(context.Context, Partition) error

// hooks calls the hooks of partitions, each within Options.HookLimit, and while the subscription
// drains within Options.Drain.
type hooks struct {
	options *Options
	stopped <-chan struct{} // closed when the drain begins

	mu      sync.Mutex
	hanging map[int]<-chan struct{} // by partition: closed once its hook has returned
}

// hookGrace is how long a hook may take to return once its context has ended.
const hookGrace = time.Second

// call calls a hook and waits for it, but not for one that does not return when ctx has ended.
func (h *hooks) call(ctx context.Context, name string, f hook, p Partition) error {
	if f == nil {
		return nil
	}
	limit := h.options.HookLimit
	ctx, endLimit := context.WithTimeoutCause(ctx, limit, fmt.Errorf("Options.HookLimit of %v reached", limit))
	defer endLimit()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = h.protect(ctx, name, f, p)
	}()
	h.awaitEnd(ctx, cancel, done)
	grace := time.NewTimer(hookGrace)
	defer grace.Stop()
	select {
	case <-done:
		return err
	case <-grace.C:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hanging[p.Number] = done
	return fmt.Errorf("Options.%s did not return %v after its context had ended (%w): make it end with its context", name, hookGrace, context.Cause(ctx))
}

// awaitEnd returns when a hook has returned, or its context has ended, which it does at the latest
// once a drain has taken Options.Drain.
func (h *hooks) awaitEnd(ctx context.Context, cancel context.CancelCauseFunc, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
		return
	case <-h.stopped:
	}
	drain := time.NewTimer(h.options.Drain)
	defer drain.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-drain.C:
		cancel(fmt.Errorf("Options.Drain of %v reached: %w", h.options.Drain, ErrDrainTimeout))
	}
}

// protect makes an error of a panic.
func (h *hooks) protect(ctx context.Context, name string, f hook, p Partition) (err error) {
	returned := false
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("Options.%s panicked: %v", name, panicked)
			h.options.Logger.Error("hook of a partition panicked", "hook", name, "topic", p.Topic, "partition", p.Number,
				"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
		} else if !returned {
			err = fmt.Errorf("Options.%s ended its goroutine (runtime.Goexit) instead of returning", name)
		}
	}()
	err = f(ctx, p)
	returned = true
	if err != nil {
		err = fmt.Errorf("Options.%s: %w", name, err)
	}
	return err
}

// checkReturned returns an error while a hook of the partition has not returned that was called
// before.
func (h *hooks) checkReturned(partition int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.hanging[partition]
	if done == nil {
		return nil
	}
	select {
	case <-done:
		delete(h.hanging, partition)
		return nil
	default:
		return fmt.Errorf("a hook that was called before has not returned yet: make it end with its context")
	}
}
