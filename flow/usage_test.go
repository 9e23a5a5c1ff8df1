package flow_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/flow"
)

// What is listed is what may start then, by each strategy: at once, in between, and when the key is
// free again.
func TestUsageIsWhatMayStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate          flow.Rate
		used, between int
		reset         time.Duration
	}{
		{flow.Rate{Limit: 60, Per: time.Minute, Burst: 10}, 4, 2, 4 * time.Second},
		{flow.Rate{Limit: 10, Per: 4 * time.Second, Strategy: flow.FixedWindow}, 4, 4, 3 * time.Second},
		{flow.Rate{Limit: 10, Per: 4 * time.Second, Strategy: flow.SlidingWindow}, 4, 4, 7 * time.Second},
		{flow.Rate{Limit: 10, Per: 4 * time.Second, Strategy: flow.SlidingLog}, 4, 4, 4 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			memory := newMemory()
			store := memory.Open(0)
			time.Sleep(time.Until(time.Now().Truncate(4 * time.Second).Add(5 * time.Second))) // a second into a window
			l := newShared(t, store, c.rate, flow.SharedOptions{Members: func() int { return 1000 }})
			begin := time.Now()
			for range c.used {
				if !allow(t, l, "key", 1).Allowed {
					t.Fatal("refused")
				}
			}
			u := listUsage(t, store)
			reset := u.ResetAt.Sub(begin)
			if u.Key != "key" || u.Rate != c.rate || u.Limit != 10 || u.Used != c.used || u.Remaining != 10-c.used || reset < c.reset-100*time.Millisecond || reset > c.reset+200*time.Millisecond {
				t.Errorf("%v: %+v, free again after %v; want %d used, and %v", c.rate, u, reset, c.used, c.reset)
			}
			time.Sleep(2 * time.Second)
			if u := listUsage(t, store); u.Used != c.between {
				t.Errorf("%v: %+v after 2 s, want %d used", c.rate, u, c.between)
			}
			time.Sleep(time.Until(u.ResetAt) + time.Millisecond)
			if u := listUsage(t, store); u.Used != 0 || u.Remaining != 10 || !u.ResetAt.IsZero() {
				t.Errorf("%v: %+v, want all of it free", c.rate, u)
			}
		})
	}
}

// listUsage returns what is used of the only key of "limit".
func listUsage(t *testing.T, store flow.Store) flow.Usage {
	t.Helper()
	page, err := flow.ListUsage(t.Context(), store, "limit", "", flow.MaxUsagePage)
	if err != nil || len(page.Keys) != 1 || page.Next != "" {
		t.Fatalf("%+v, %v; want one key", page, err)
	}
	return page.Keys[0]
}

// Keys beyond MaxKeys are listed as the one limit that they share, apart from limits whose names
// begin in the same way.
func TestUsageOfKeysBeyondMaxKeysIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory().Open(0)
		r := flow.Rate{Limit: 10, Per: time.Hour}
		l := newShared(t, store, r, flow.SharedOptions{MaxKeys: 1})
		for i := range 3 {
			allow(t, l, strconv.Itoa(i), 1)
		}
		other, err := flow.NewShared(store, "limit-2", r, nil)
		if err != nil {
			t.Fatal(err)
		}
		allow(t, other, "other", 1)
		page, err := flow.ListUsage(t.Context(), store, "limit", "", 10)
		if err != nil || len(page.Keys) != 2 || page.Keys[0].Key != "0" || page.Keys[0].Overflow || !page.Keys[1].Overflow || page.Keys[1].Used != 2 {
			t.Errorf("%+v, %v; want the key 0, and the overflow of two starts", page, err)
		}
	})
}

// storeWithoutList is a store that is no flow.Lister.
type storeWithoutList struct{ flow.Store }

func TestUsageThatCannotBeListedSaysWhy(t *testing.T) {
	t.Parallel()
	store := newMemory().Open(0)
	if _, err := flow.ListUsage(t.Context(), storeWithoutList{store}, "limit", "", 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a store that is no Lister: %v", err)
	}
	for want, list := range map[string]func() (*flow.UsagePage, error){
		`the name of a shared limit is "a/b"`: func() (*flow.UsagePage, error) { return flow.ListUsage(t.Context(), store, "a/b", "", 1) },
		"a page of 0 keys":                    func() (*flow.UsagePage, error) { return flow.ListUsage(t.Context(), store, "a", "", 0) },
		"a page of 101 keys":                  func() (*flow.UsagePage, error) { return flow.ListUsage(t.Context(), store, "a", "", 101) },
	} {
		if _, err := list(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := flow.ListUsage(ctx, store, "limit", "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a store that fails: %v", err)
	}
}
