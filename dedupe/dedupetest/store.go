package dedupetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// storeCases are the duty of a minimal store.
func storeCases() []testcase {
	return []testcase{
		{"Store/unknown keys are fresh", unknownIsFresh},
		{"Store/marks are seen", marksAreSeen},
		{"Store/nothing asked", nothingAsked},
		{"Store/repeated keys in a batch", repeatedMarks},
		{"Store/a mark overwrites", markOverwrites},
		{"Store/scope is topic, group and id", markScope},
		{"Store/marks expire", marksExpire},
		{"Store/a mark over an expired row is kept", markOverExpired},
		{"Store/a mark renews expiry", markRenews},
		{"Store/large batches", largeMarks},
		{"Store/concurrent marks", concurrentMarks},
		{"Store/an ended context", storeEndedContext},
	}
}

func unknownIsFresh(t *testing.T, k *kit) {
	for i, r := range k.seen(t, keys(3)...) {
		if r.State != dedupe.Fresh || len(r.Hash) > 0 {
			t.Errorf("key %d of an empty store: %+v, want fresh", i, r)
		}
	}
}

func marksAreSeen(t *testing.T, k *kit) {
	ks := keys(3)
	k.mark(t, doneMark(ks[0]), dedupe.Mark{Key: ks[2], State: dedupe.Dead, TTL: keeping})
	rs := k.seen(t, ks[2], ks[1], ks[0])
	for i, want := range []dedupe.State{dedupe.Dead, dedupe.Fresh, dedupe.Done} {
		if rs[i].State != want {
			t.Errorf("key %d: %v, want %v", i, rs[i].State, want)
		}
	}
	sameHash(t, ks[2], rs[0].Hash, nil)
	sameHash(t, ks[0], rs[2].Hash, hashA)
}

func nothingAsked(t *testing.T, k *kit) {
	k.seen(t)
	k.mark(t)
	if k.claimer != nil {
		k.claims(t)
		k.settles(t)
		k.extends(t, nil, lasting, keeping)
	}
	if k.reopener != nil {
		if err := stored(k.reopener.Reopen(t.Context(), nil)); err != nil {
			t.Errorf("Reopen of nothing: %v", err)
		}
	}
}

func repeatedMarks(t *testing.T, k *kit) {
	ks := keys(2)
	last := doneMark(ks[0])
	last.State, last.Hash = dedupe.Dead, hashB
	k.mark(t, doneMark(ks[0]), doneMark(ks[1]), doneMark(ks[0]), last)
	for _, r := range k.seen(t, ks[0], ks[1], ks[0], ks[0])[2:] {
		if r.State != dedupe.Dead {
			t.Errorf("a key asked again in a batch: %v, want dead, by the last mark", r.State)
		}
		sameHash(t, ks[0], r.Hash, hashB)
	}
	k.is(t, ks[1], dedupe.Done)
}

func markOverwrites(t *testing.T, k *kit) {
	m := doneMark(key("a"))
	m.State, m.Hash = dedupe.Dead, hashB
	k.mark(t, doneMark(m.Key))
	k.mark(t, m)
	r := k.seen(t, m.Key)[0]
	if r.State != dedupe.Dead {
		t.Errorf("marked done, then dead: %v", r.State)
	}
	sameHash(t, m.Key, r.Hash, hashB)
	m.State, m.Hash = dedupe.Done, nil
	k.mark(t, m)
	r = k.seen(t, m.Key)[0]
	if r.State != dedupe.Done {
		t.Errorf("marked dead, then done: %v", r.State)
	}
	sameHash(t, m.Key, r.Hash, nil)
}

func markScope(t *testing.T, k *kit) {
	a := dedupe.Key{Topic: "t", Group: "g", ID: "i"}
	k.mark(t, doneMark(a))
	for _, b := range []dedupe.Key{{Topic: "u", Group: "g", ID: "i"}, {Topic: "t", Group: "h", ID: "i"}, {Topic: "t", Group: "g", ID: "j"}} {
		k.is(t, b, dedupe.Fresh)
	}
	k.is(t, a, dedupe.Done)
}

func marksExpire(t *testing.T, k *kit) {
	short, long := doneMark(key("short")), doneMark(key("long"))
	short.TTL = k.h.TTL
	k.mark(t, short, long)
	k.is(t, short.Key, dedupe.Done)
	k.expire(t)
	k.present(t, short.Key)
	r := k.seen(t, short.Key)[0]
	if r.State != dedupe.Fresh || len(r.Hash) > 0 {
		t.Errorf("after its TTL: %+v, want fresh", r)
	}
	k.is(t, long.Key, dedupe.Done)
}

func markOverExpired(t *testing.T, k *kit) {
	m := doneMark(key("a"))
	m.TTL = k.h.TTL
	k.mark(t, m)
	k.expire(t)
	k.present(t, m.Key)
	m.TTL, m.Hash = keeping, hashB
	k.mark(t, m)
	r := k.seen(t, m.Key)[0]
	if r.State != dedupe.Done {
		t.Fatalf("a mark over an expired row is lost: %v, want done", r.State)
	}
	sameHash(t, m.Key, r.Hash, hashB)
}

func markRenews(t *testing.T, k *kit) {
	k.inTime(t, func(ttl time.Duration, id string) (time.Duration, []error) {
		m := doneMark(key(id))
		m.TTL = ttl
		begun := time.Now()
		k.mark(t, m)
		k.h.Wait(t, ttl*3/5)
		renewed := time.Now()
		k.mark(t, m)
		first := time.Since(begun)
		k.h.Wait(t, ttl*3/5)
		state := k.seen(t, m.Key)[0].State
		var wrong []error
		if state != dedupe.Done {
			wrong = append(wrong, fmt.Errorf("marked again within its TTL, and seen as %v after that of the first mark", state))
		}
		return max(first, time.Since(renewed)), wrong
	})
}

func largeMarks(t *testing.T, k *kit) {
	const n = 1200
	ks := keys(n)
	var marks []dedupe.Mark
	for _, key := range ks[:n/2] {
		marks = append(marks, doneMark(key))
	}
	k.mark(t, marks...)
	for i, r := range k.seen(t, ks...) {
		if want := i < n/2; (r.State == dedupe.Done) != want {
			t.Fatalf("key %d of %d: %v; marked: %t", i, n, r.State, want)
		}
	}
}

func concurrentMarks(t *testing.T, k *kit) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			shared, own := doneMark(key("shared")), doneMark(key(fmt.Sprintf("own-%d", i)))
			if err := stored(k.store.Mark(t.Context(), []dedupe.Mark{shared, own})); err != nil {
				t.Errorf("Mark: %v", err)
			}
			rs, err := k.store.Seen(t.Context(), []dedupe.Key{shared.Key, own.Key})
			if err != nil || rs[0].State != dedupe.Done || rs[1].State != dedupe.Done {
				t.Errorf("a goroutine does not see its own marks: %v, %v", rs, err)
			}
		})
	}
	wg.Wait()
}

func storeEndedContext(t *testing.T, k *kit) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m := doneMark(key("a"))
	if _, err := k.store.Seen(ended, []dedupe.Key{m.Key}); err == nil {
		t.Error("Seen under an ended context: no error")
	}
	if err := stored(k.store.Mark(ended, []dedupe.Mark{m})); err == nil {
		t.Error("Mark under an ended context: no error")
	}
	k.mark(t, m)
	k.is(t, m.Key, dedupe.Done)
}
