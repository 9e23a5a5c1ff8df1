package admin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// watch asks for overviews for so long, as a stream does.
func watch(t *testing.T, o *overviews, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(max(time.Millisecond, o.untilStale())) {
		if _, err := o.fresh(t.Context()); err != nil {
			t.Error(err)
			return
		}
	}
}

// Whoever looks shares one overview, and none is made while nobody does.
func TestOverviewsAreSharedByAllWhoLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		o := newOverviews(func(context.Context, *Overview) *Overview {
			made.Add(1)
			return &Overview{At: time.Now(), GroupsAt: time.Now()}
		})
		var viewers sync.WaitGroup
		for range 50 {
			viewers.Go(func() { watch(t, o, time.Minute) })
		}
		viewers.Wait()
		if n := made.Load(); n < 25 || n > 31 {
			t.Errorf("%d overviews were made in a minute", n)
		}
		before := made.Load()
		time.Sleep(time.Hour)
		if n := made.Load(); n != before {
			t.Errorf("%d were made while nobody looked", n-before)
		}
		must(t, o.close(t.Context()))
	})
}

// What takes long is done seldom: a tenth of the time is spent on it at most.
func TestSlowOverviewsAreMadeSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		o := newOverviews(func(context.Context, *Overview) *Overview {
			made.Add(1)
			time.Sleep(3 * time.Second)
			return &Overview{}
		})
		watch(t, o, 10*time.Minute)
		if n := made.Load(); n < 15 || n > 20 {
			t.Errorf("%d overviews were made in ten minutes, each in three seconds", n)
		}
		must(t, o.close(t.Context()))
	})
}

// One who goes keeps nobody from the overview, and closing ends what is being made.
func TestClosingEndsWhatIsMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOverviews(func(ctx context.Context, _ *Overview) *Overview {
			<-ctx.Done()
			return &Overview{Missing: []string{context.Cause(ctx).Error()}}
		})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := o.fresh(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("who is gone: %v", err)
		}
		found := make(chan *Overview)
		go func() {
			made, err := o.fresh(t.Context())
			if err != nil {
				t.Error(err)
			}
			found <- made
		}()
		synctest.Wait()
		must(t, o.close(t.Context()))
		if made := <-found; made == nil || len(made.Missing) != 1 {
			t.Errorf("who waited has %+v", made)
		}
		time.Sleep(time.Minute)
		if _, err := o.fresh(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("after it was closed: %v", err)
		}
	})
}

// The history is that of 15 minutes at most, of so many groups and points.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	var h historyRing
	at := time.Now()
	many := make([]GroupOverview, maxHistoryGroups+10)
	for i := range many {
		many[i] = GroupOverview{Group: string(rune('a' + i)), Rate: 1, Pending: 2, Unsettled: 3}
	}
	for range 2 * maxHistory {
		at = at.Add(time.Second)
		h.add(&Overview{GroupsAt: at, Groups: many})
		h.add(&Overview{GroupsAt: at, Groups: many}) // the groups could not be read again
	}
	list := h.list()
	if len(list) != maxHistoryGroups || len(list[0].Times) != maxHistory || len(list[0].Rates) != maxHistory || list[0].Waiting[0] != 5 {
		t.Fatalf("%d groups, %d points", len(list), len(list[0].Times))
	}
	h.add(&Overview{GroupsAt: at.Add(2 * historyFor), Groups: many[:1]})
	if list := h.list(); len(list) != 1 || len(list[0].Times) != 1 {
		t.Errorf("after a long time: %+v", list)
	}
}
