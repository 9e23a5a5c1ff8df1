package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// slowClaimer takes 10 ms for each call, and counts them.
type slowClaimer struct {
	mu      sync.Mutex
	calls   int
	atOnce  int
	most    int
	doubled bool // a key occurred twice in a call
	err     error
}

func (c *slowClaimer) call(ctx context.Context, keys []dedupe.Key) ([]error, error) {
	c.mu.Lock()
	c.calls++
	c.atOnce++
	c.most = max(c.most, c.atOnce)
	seen := make(map[dedupe.Key]bool)
	for _, k := range keys {
		c.doubled = c.doubled || seen[k]
		seen[k] = true
	}
	err := c.err
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.atOnce--
	}()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return make([]error, len(keys)), err
}

func (c *slowClaimer) Claim(ctx context.Context, rs []dedupe.Request) ([]dedupe.Claim, error) {
	keys := make([]dedupe.Key, len(rs))
	cs := make([]dedupe.Claim, len(rs))
	for i, r := range rs {
		keys[i], cs[i] = r.Key, dedupe.Claim{Key: r.Key, Nonce: r.Nonce}
	}
	_, err := c.call(ctx, keys)
	return cs, err
}

func (c *slowClaimer) Extend(ctx context.Context, cs []dedupe.Claim, _, _ time.Duration) ([]error, error) {
	keys := make([]dedupe.Key, len(cs))
	for i := range cs {
		keys[i] = cs[i].Key
	}
	return c.call(ctx, keys)
}

func (c *slowClaimer) Settle(ctx context.Context, ss []dedupe.Settlement) ([]error, error) {
	keys := make([]dedupe.Key, len(ss))
	for i := range ss {
		keys[i] = ss[i].Claim.Key
	}
	return c.call(ctx, keys)
}

func keyNumber(n int) dedupe.Key { return dedupe.Key{Topic: "t", Group: "g", ID: fmt.Sprint(n)} }

// inSlowStore runs a test on a joined claimer whose store is slow.
func inSlowStore(t *testing.T, f func(t *testing.T, slow *slowClaimer, joined *joinedClaimer)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowClaimer{}
		joined := newJoinedClaimer(slow, time.Second, time.Minute)
		f(t, slow, joined)
		joined.wait()
	})
}

// TestCallsOfEnginesAreJoined: sixteen engines that call all the time make the calls of one, and
// each gets the answers to its own items.
func TestCallsOfEnginesAreJoined(t *testing.T) {
	inSlowStore(t, func(t *testing.T, slow *slowClaimer, joined *joinedClaimer) {
		const engines, rounds = 16, 20
		var all sync.WaitGroup
		for engine := range engines {
			all.Go(func() {
				for round := range rounds {
					first := 1000*engine + 10*round
					cs, err := joined.Claim(t.Context(), []dedupe.Request{{Key: keyNumber(first)}, {Key: keyNumber(first + 1)}})
					if err != nil || len(cs) != 2 || cs[0].Key != keyNumber(first) || cs[1].Key != keyNumber(first+1) {
						t.Errorf("answers %v, %v", cs, err)
					}
				}
			})
		}
		all.Wait()
		if slow.calls > 2*rounds+1 || slow.most != 1 {
			t.Errorf("%d calls, %d at once, for %d", slow.calls, slow.most, engines*rounds)
		}
	})
}

// TestSingleCallIsNotHeldUp: there is no timer.
func TestSingleCallIsNotHeldUp(t *testing.T) {
	inSlowStore(t, func(t *testing.T, slow *slowClaimer, joined *joinedClaimer) {
		began := time.Now()
		if _, err := joined.Settle(t.Context(), []dedupe.Settlement{{}}); err != nil || time.Since(began) != 10*time.Millisecond || slow.calls != 1 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// TestJoinedCallsHaveNoKeyTwice: a store may refuse that of renewals and settlements.
func TestJoinedCallsHaveNoKeyTwice(t *testing.T) {
	inSlowStore(t, func(t *testing.T, slow *slowClaimer, joined *joinedClaimer) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := joined.Extend(t.Context(), []dedupe.Claim{{Key: keyNumber(1)}}, time.Second, time.Minute)
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if slow.doubled || slow.calls != 8 {
			t.Errorf("%d calls, a key twice: %v", slow.calls, slow.doubled)
		}
	})
}

// TestJoinedCallOutlivesOneOfItsCallers, and ends with the last of them.
func TestJoinedCallOutlivesOneOfItsCallers(t *testing.T) {
	inSlowStore(t, func(t *testing.T, _ *slowClaimer, joined *joinedClaimer) {
		short, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _, _ = joined.Claim(t.Context(), []dedupe.Request{{Key: keyNumber(0)}}) })
		synctest.Wait()
		all.Go(func() {
			if _, err := joined.Claim(short, []dedupe.Request{{Key: keyNumber(1)}}); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that has gone: %v", err)
			}
		})
		all.Go(func() {
			if cs, err := joined.Claim(t.Context(), []dedupe.Request{{Key: keyNumber(2)}}); err != nil || cs[0].Key != keyNumber(2) {
				t.Errorf("the one that waits: %v, %v", cs, err)
			}
		})
		time.Sleep(15 * time.Millisecond) // in the second call
		cancel()
		all.Wait()
		gone, cancel := context.WithCancel(t.Context())
		all.Go(func() { _, _ = joined.Claim(gone, []dedupe.Request{{Key: keyNumber(3)}}) })
		synctest.Wait()
		cancel()
		began := time.Now()
		joined.wait()
		if took := time.Since(began); took > 0 {
			t.Errorf("a call that nobody waits for went on for %v", took)
		}
		all.Wait()
	})
}

// TestJoinedCallThatFails fails for each of its callers.
func TestJoinedCallThatFails(t *testing.T) {
	inSlowStore(t, func(t *testing.T, slow *slowClaimer, joined *joinedClaimer) {
		slow.err = errors.New("no answer")
		var all sync.WaitGroup
		for n := range 4 {
			all.Go(func() {
				if _, err := joined.Claim(t.Context(), []dedupe.Request{{Key: keyNumber(n)}}); !errors.Is(err, slow.err) {
					t.Errorf("failed with %v", err)
				}
			})
		}
		all.Wait()
	})
}
