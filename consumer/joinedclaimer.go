package consumer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/dedupe"
)

// joinedClaimer is a Claimer that makes one call of a kind at a time: what several engines ask for
// while it is under way goes together in the next one. There is no timer, so that a single caller
// does not wait. A call is made for as long as any of its callers waits for it.
type joinedClaimer struct {
	claims   *callJoiner[dedupe.Request, dedupe.Claim]
	renewals *callJoiner[dedupe.Claim, error]
	settles  *callJoiner[dedupe.Settlement, error]
}

// newJoinedClaimer returns a joinedClaimer on a claimer. Every renewal of it is for the same lease
// and TTL.
func newJoinedClaimer(c dedupe.Claimer, lease, ttl time.Duration) *joinedClaimer {
	return &joinedClaimer{
		claims: &callJoiner[dedupe.Request, dedupe.Claim]{
			name: "Claim", call: c.Claim, key: func(r *dedupe.Request) dedupe.Key { return r.Key },
		},
		renewals: &callJoiner[dedupe.Claim, error]{
			name: "Extend", key: func(c *dedupe.Claim) dedupe.Key { return c.Key },
			call: func(ctx context.Context, cs []dedupe.Claim) ([]error, error) { return c.Extend(ctx, cs, lease, ttl) },
		},
		settles: &callJoiner[dedupe.Settlement, error]{
			name: "Settle", call: c.Settle, key: func(s *dedupe.Settlement) dedupe.Key { return s.Claim.Key },
		},
	}
}

var _ dedupe.Claimer = (*joinedClaimer)(nil)

// Claim implements dedupe.Claimer.
func (c *joinedClaimer) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	return c.claims.do(ctx, rs)
}

// Extend implements dedupe.Claimer.
func (c *joinedClaimer) Extend(ctx context.Context, cs []dedupe.Claim, _, _ time.Duration) ([]error, error) {
	return c.renewals.do(ctx, cs)
}

// Settle implements dedupe.Claimer.
func (c *joinedClaimer) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	return c.settles.do(ctx, ss)
}

// wait waits for the calls that nobody waits for any more to end.
func (c *joinedClaimer) wait() {
	c.claims.running.Wait()
	c.renewals.running.Wait()
	c.settles.running.Wait()
}

// callJoiner joins calls of one kind.
type callJoiner[I, A any] struct {
	name    string
	call    func(context.Context, []I) ([]A, error)
	key     func(*I) dedupe.Key
	running sync.WaitGroup

	mu      sync.Mutex
	waiting []*joinedCall[I, A]
	calling bool
}

// joinedCall is what one caller asked for.
type joinedCall[I, A any] struct {
	ctx     context.Context //nolint:containedctx // the caller's
	items   []I
	answers []A
	err     error
	done    chan struct{}
}

// do makes a call, alone or together with others. It returns early when ctx ends.
func (j *callJoiner[I, A]) do(ctx context.Context, items []I) ([]A, error) {
	c := &joinedCall[I, A]{ctx: ctx, items: items, done: make(chan struct{})}
	j.mu.Lock()
	j.waiting = append(j.waiting, c)
	if !j.calling {
		j.calling = true
		j.running.Go(j.makeCalls)
	}
	j.mu.Unlock()
	select {
	case <-c.done:
		return c.answers, c.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", j.name, context.Cause(ctx))
	}
}

// yieldsToJoin is how often others may run first that are about to make a call of the same kind.
// With 8, 16 partitions on MongoDB handle 0.85 of the events of an unpartitioned topic instead of
// 0.59 (BenchmarkPartitionsMongo, concurrency 16); with 16 they handle no more.
const yieldsToJoin = 8

// makeCalls makes calls until nobody waits.
func (j *callJoiner[I, A]) makeCalls() {
	for {
		for range yieldsToJoin {
			runtime.Gosched()
		}
		calls := j.take()
		if len(calls) == 0 {
			return
		}
		j.makeCall(calls)
	}
}

// take takes what goes into the next call: not more than one may have, unless a single caller asks
// for more, and no key twice.
func (j *callJoiner[I, A]) take() (calls []*joinedCall[I, A]) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var later []*joinedCall[I, A]
	keys := make(map[dedupe.Key]struct{})
	for _, c := range j.waiting {
		switch {
		case c.ctx.Err() != nil: // its caller has gone
		case len(calls) > 0 && (len(keys)+len(c.items) > protocol.DefaultMaxBatch || j.overlaps(keys, c)):
			later = append(later, c)
		default:
			calls = append(calls, c)
			for i := range c.items {
				keys[j.key(&c.items[i])] = struct{}{}
			}
		}
	}
	j.waiting = later
	j.calling = len(calls) > 0
	return calls
}

func (j *callJoiner[I, A]) overlaps(keys map[dedupe.Key]struct{}, c *joinedCall[I, A]) bool {
	for i := range c.items {
		if _, ok := keys[j.key(&c.items[i])]; ok {
			return true
		}
	}
	return false
}

// makeCall makes one call for all of these, and hands each its answers.
func (j *callJoiner[I, A]) makeCall(calls []*joinedCall[I, A]) {
	ctx, cancel := whileAnyWaits(calls)
	defer cancel()
	items := calls[0].items
	for _, c := range calls[1:] {
		items = append(slices.Clip(items), c.items...)
	}
	answers, err := j.call(ctx, items)
	for _, c := range calls {
		switch {
		case err != nil:
			c.err = err
		case len(answers) < len(c.items):
			c.answers = answers // of whose items? The caller notices.
		default:
			c.answers, answers = answers[:len(c.items):len(c.items)], answers[len(c.items):]
		}
		close(c.done)
	}
}

// whileAnyWaits returns a context that ends once those of all callers have ended.
func whileAnyWaits[I, A any](calls []*joinedCall[I, A]) (context.Context, context.CancelFunc) {
	if len(calls) == 1 {
		return context.WithCancel(calls[0].ctx)
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(calls[0].ctx))
	var mu sync.Mutex
	waiting := len(calls)
	stops := make([]func() bool, len(calls))
	for i, c := range calls {
		stops[i] = context.AfterFunc(c.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if waiting--; waiting == 0 {
				cancel(context.Cause(c.ctx))
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}
