package dedupetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/onceish/onceish/dedupe"
)

func raceCases() []testcase {
	return []testcase{
		{"Race/64 claimers of an unknown key", func(t *testing.T, k *kit) { race(t, k, key("a"), dedupe.Fresh) }},
		{"Race/64 claimers of a lapsed claim", raceLapsed},
		{"Race/64 claimers of a free key", raceFree},
		{"Race/64 claimers of a dead letter", raceDeadLettering},
		{"Race/64 claimers of an expired key", raceExpired},
		{"Race/a late settlement and its successor", raceSettle},
		{"Race/overlapping batches", raceBatches},
		{"Race/cancelled on the way", raceCancel},
	}
}

// race wants exactly one of 64 to win.
func race(t *testing.T, k *kit, key dedupe.Key, won dedupe.State) dedupe.Claim {
	t.Helper()
	const n = 64
	answers := make([]dedupe.Claim, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		r := k.request(key)
		wg.Go(func() {
			<-start
			cs, err := k.claimer.Claim(t.Context(), []dedupe.Request{r})
			if err != nil {
				t.Errorf("Claim: %v", err)
				return
			}
			answers[i] = cs[0]
		})
	}
	close(start)
	wg.Wait()
	var winners []dedupe.Claim
	for _, c := range answers {
		switch c.State {
		case won:
			winners = append(winners, c)
		case dedupe.Held:
		default:
			t.Errorf("a claimer is answered %v, want %v or held", c.State, won)
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d of %d claimers of %s won, want 1", len(winners), n, key)
	}
	return winners[0]
}

func raceLapsed(t *testing.T, k *kit) {
	old := k.claim(t, k.brief(key("a")), dedupe.Fresh)
	k.lapse(t)
	c := race(t, k, old.Key, dedupe.Fresh)
	counts(t, c, 0, 1)
	k.refused(t, end(old, dedupe.Succeeded))
	k.settled(t, end(c, dedupe.Succeeded))
}

func raceFree(t *testing.T, k *kit) {
	k.settled(t, end(k.fresh(t, key("a")), dedupe.Failed))
	counts(t, race(t, k, key("a"), dedupe.Fresh), 1, 0)
}

func raceDeadLettering(t *testing.T, k *kit) {
	old := k.deadLetteringKey(t, key("a"), k.h.Lease)
	k.lapse(t)
	c := race(t, k, old.Key, dedupe.DeadLettering)
	counts(t, c, 0, 0)
	k.refused(t, end(old, dedupe.DeadLettered))
	k.settled(t, end(c, dedupe.DeadLettered))
}

func raceExpired(t *testing.T, k *kit) {
	m := doneMark(key("a"))
	m.TTL = k.h.TTL
	k.mark(t, m)
	k.expire(t)
	k.present(t, m.Key)
	c := race(t, k, m.Key, dedupe.Fresh)
	counts(t, c, 0, 0)
	k.settled(t, end(c, dedupe.Succeeded))
}

// raceSettle: either the late owner's mark is kept and nobody takes over, or somebody does and
// it is refused.
func raceSettle(t *testing.T, k *kit) {
	ks := keys(30)
	var olds []dedupe.Claim
	for _, key := range ks {
		olds = append(olds, k.claim(t, k.brief(key), dedupe.Fresh))
	}
	k.lapse(t)
	for i, key := range ks {
		var wg sync.WaitGroup
		var marked bool
		var c dedupe.Claim
		r := k.request(key)
		wg.Go(func() {
			oks, err := applied(k.claimer.Settle(t.Context(), []dedupe.Settlement{end(olds[i], dedupe.Succeeded)}))
			if err != nil {
				t.Errorf("Settle: %v", err)
				return
			}
			marked = oks[0]
		})
		wg.Go(func() {
			cs, err := k.claimer.Claim(t.Context(), []dedupe.Request{r})
			if err != nil {
				t.Errorf("Claim: %v", err)
				return
			}
			c = cs[0]
		})
		wg.Wait()
		if marked && c.State != dedupe.Done || !marked && c.State != dedupe.Fresh {
			t.Errorf("%s: the late mark is kept: %t; its successor is answered %v", key, marked, c.State)
		}
	}
}

// raceBatches: batches that share keys, in opposite orders, win each key once, and wait for each
// other in no circle.
func raceBatches(t *testing.T, k *kit) {
	ks := keys(50)
	var mu sync.Mutex
	won := make(map[dedupe.Key]int)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 8 {
		rs := k.requests(ks)
		if i%2 == 1 {
			for a, b := 0, len(rs)-1; a < b; a, b = a+1, b-1 {
				rs[a], rs[b] = rs[b], rs[a]
			}
		}
		wg.Go(func() {
			<-start
			cs, err := k.claimer.Claim(t.Context(), rs)
			if err != nil {
				t.Errorf("Claim: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, c := range cs {
				if c.State == dedupe.Fresh {
					won[c.Key]++
				}
			}
		})
	}
	close(start)
	wg.Wait()
	if t.Failed() {
		return // a call that failed may have won
	}
	for _, key := range ks {
		if won[key] != 1 {
			t.Errorf("%s was won %d times, want once", key, won[key])
		}
	}
}

// raceCancel cancels calls at any time; their repetition answers as if nothing had been.
func raceCancel(t *testing.T, k *kit) {
	for i := range 20 {
		r := k.request(key(fmt.Sprint(i)))
		cancelled(t, func(ctx context.Context) error {
			_, err := k.claimer.Claim(ctx, []dedupe.Request{r})
			return err
		})
		c := k.claim(t, r, dedupe.Fresh)
		counts(t, c, 0, 0)
		cancelled(t, func(ctx context.Context) error {
			_, err := applied(k.claimer.Settle(ctx, []dedupe.Settlement{end(c, dedupe.Failed)}))
			return err
		})
		k.settled(t, end(c, dedupe.Failed))
		counts(t, k.fresh(t, r.Key), 1, 0)
	}
}

func cancelled(t *testing.T, call func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(cancel)
	err := call(ctx)
	wg.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call fails with %v, want context.Canceled", err)
	}
}
