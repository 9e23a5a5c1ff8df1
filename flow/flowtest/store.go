package flowtest

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/flow"
)

func swapReplaces(t *testing.T, _ *Harness, open Open) {
	ctx, a, b := t.Context(), open(0), open(0)
	first, err := a.Swap(ctx, "limit/key/ä b.*>", 0, []byte("one"), time.Hour)
	if err != nil || first.Revision == 0 {
		t.Fatalf("a row that was not there: %v, %v", first, err)
	}
	for what, revision := range map[string]uint64{"none was read": 0, "an older one was read": first.Revision + 1} {
		row, err := b.Swap(ctx, "limit/key/ä b.*>", revision, []byte("two"), time.Hour)
		if !errors.Is(err, flow.ErrConflict) || row.Revision != first.Revision || string(row.Data) != "one" {
			t.Errorf("%s: %q of %d, %v; want a conflict and the stored row", what, row.Data, row.Revision, err)
		}
	}
	second, err := b.Swap(ctx, "limit/key/ä b.*>", first.Revision, []byte{0, 0xff}, time.Hour)
	if err != nil || second.Revision == first.Revision {
		t.Errorf("the row that was read: %v, %v", second, err)
	}
	row, err := a.Swap(ctx, "limit/key/ä b.*>", first.Revision, []byte("three"), time.Hour)
	if !errors.Is(err, flow.ErrConflict) || !bytes.Equal(row.Data, []byte{0, 0xff}) || row.Revision != second.Revision {
		t.Errorf("the row before: %q of %d, %v", row.Data, row.Revision, err)
	}
	if _, err := a.Swap(ctx, "limit/key/ä b", 0, nil, time.Hour); err != nil {
		t.Errorf("another key: %v", err)
	}
}

func swapsLoseNothing(t *testing.T, _ *Harness, open Open) {
	const processes, each = 4, 10
	ctx := t.Context()
	var all sync.WaitGroup
	for range processes {
		store := open(0)
		all.Go(func() {
			var row flow.Row
			for done := 0; done < each; {
				n, _ := strconv.Atoi(string(row.Data))
				next, err := store.Swap(ctx, "limit", row.Revision, strconv.AppendInt(nil, int64(n+1), 10), time.Hour)
				if err != nil && !errors.Is(err, flow.ErrConflict) {
					t.Error(err)
					return
				}
				if row = next; err == nil {
					done++
				}
			}
		})
	}
	all.Wait()
	row, err := open(0).Swap(ctx, "limit", 0, nil, time.Hour)
	if string(row.Data) != strconv.Itoa(processes*each) {
		t.Errorf("%s of %d swaps are left: %v", row.Data, processes*each, err)
	}
}

func clocksDoNotMatter(t *testing.T, _ *Harness, open Open) {
	early, late := open(-5*time.Minute), open(5*time.Minute)
	before, doubtBefore, err := early.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, doubtAfter, err := late.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := after.Sub(before); d < -doubtBefore-doubtAfter || d > time.Minute {
		t.Errorf("two processes read the server's time %v apart, in doubt by %v and %v", d, doubtBefore, doubtAfter)
	}
}
