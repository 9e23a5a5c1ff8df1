package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

const (
	// overviewEvery is how old an overview is at least before another one is made.
	overviewEvery = 2 * time.Second
	// overviewShare is which part of the time may be spent making them: a tenth.
	overviewShare = 10
)

// overviews makes one overview at a time for all who look, none while nobody does, and seldom where
// that takes long. Its methods are safe for concurrent use.
type overviews struct {
	make func(ctx context.Context, before *Overview) *Overview

	mu       sync.Mutex
	last     *Overview
	encoded  []byte    // last, in JSON
	freshTo  time.Time // when last is to be replaced
	pending  chan struct{}
	cancel   context.CancelFunc // of the one that is being made
	seen     historyRing
	closed   bool
	making   sync.WaitGroup
	finished chan struct{} // closed when streams are to end
	finish   sync.Once
}

func newOverviews(makeOne func(context.Context, *Overview) *Overview) *overviews {
	return &overviews{make: makeOne, finished: make(chan struct{})}
}

// fresh returns an overview that is about two seconds old at most, or younger than what it takes to
// make ten of them. It blocks while one is made, until ctx ends.
func (o *overviews) fresh(ctx context.Context) (*Overview, error) {
	o.mu.Lock()
	if o.last != nil && time.Now().Before(o.freshTo) {
		defer o.mu.Unlock()
		return o.last, nil
	}
	if o.closed {
		defer o.mu.Unlock()
		return nil, errClosed
	}
	if o.pending == nil {
		o.pending = make(chan struct{})
		o.making.Go(o.refresh)
	}
	pending := o.pending
	o.mu.Unlock()
	select {
	case <-pending:
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.last, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refresh makes an overview, also if who asked for it has gone meanwhile: others may wait for it.
func (o *overviews) refresh() {
	ctx, cancel := context.WithTimeout(context.Background(), overviewTimeout)
	defer cancel()
	o.mu.Lock()
	o.cancel = cancel
	if o.closed {
		cancel()
	}
	before := o.last
	o.mu.Unlock()
	begun := time.Now()
	made := o.make(ctx, before)
	encoded, _ := json.Marshal(made) //nolint:errchkjson // a test marshals it
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.last, o.encoded, o.freshTo = made, encoded, now.Add(max(overviewEvery, overviewShare*now.Sub(begun)))
	o.seen.add(made)
	close(o.pending)
	o.pending = nil
}

// encodedOf returns an overview in JSON, if it still is the last one.
func (o *overviews) encodedOf(made *Overview) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.encoded, o.last == made
}

// untilStale is how long the last overview is fresh yet.
func (o *overviews) untilStale() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Until(o.freshTo)
}

// history is what was seen of each group.
func (o *overviews) history() []GroupHistory {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen.list()
}

// endStreams ends all streams, and those that are opened later.
func (o *overviews) endStreams() { o.finish.Do(func() { close(o.finished) }) }

// close ends streams and the making of overviews, and waits for that until ctx ends.
func (o *overviews) close(ctx context.Context) error {
	o.endStreams()
	o.mu.Lock()
	o.closed = true
	if o.cancel != nil {
		o.cancel()
	}
	o.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.making.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("an overview was still being made: %w", context.Cause(ctx))
	}
}
