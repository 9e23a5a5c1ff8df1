package flowtest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/flow"
)

// rowsAreListed holds for stores that are a flow.Lister.
func rowsAreListed(t *testing.T, _ *Harness, open Open) {
	ctx, store := t.Context(), open(0)
	lister, ok := store.(flow.Lister)
	if !ok {
		t.Skip("the store lists nothing")
	}
	if l, err := lister.List(ctx, "a/", "", 10); err != nil || len(l.Rows) != 0 || l.Next != "" {
		t.Errorf("before anything was written: %+v, %v", l, err)
	}
	want := []string{"a/", "a/ b.*>", "a/key/", "a/key/=20", "a/key/A", "a/key/a", "a/key/a/b", "a/key/\u00fc", "a/z"}
	for _, key := range slices.Concat(want, []string{"a", "a-b/key/c", "a0", "b/key/a"}) {
		if _, err := store.Swap(ctx, key, 0, []byte("data of "+key), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for most := 1; most <= len(want)+1; most++ {
		var got []string
		after := ""
		for {
			l, err := lister.List(ctx, "a/", after, most)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range l.Rows {
				if got = append(got, row.Key); string(row.Data) != "data of "+row.Key || row.Revision == 0 {
					t.Errorf("%q: %q of %d", row.Key, row.Data, row.Revision)
				}
			}
			if after = l.Next; after == "" {
				break
			}
			if len(l.Rows) != most || after != got[len(got)-1] {
				t.Fatalf("a page of %d of %d rows, the next one after %q", len(l.Rows), most, after)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("by pages of %d: %q, want %q", most, got, want)
		}
	}
	isListedAsItIs(t, store, lister)
}

// isListedAsItIs lists a row after it was replaced, from a process whose clock is wrong, after
// a key that is not there.
func isListedAsItIs(t *testing.T, store flow.Store, lister flow.Lister) {
	t.Helper()
	l, err := lister.List(t.Context(), "a/z", "a/y", 1)
	if err != nil || len(l.Rows) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	replaced, err := store.Swap(t.Context(), "a/z", l.Rows[0].Revision, []byte{0, 0xff}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	l, err = lister.List(t.Context(), "a/z", "", 1)
	if err != nil || len(l.Rows) != 1 || l.Rows[0].Revision != replaced.Revision || !bytes.Equal(l.Rows[0].Data, []byte{0, 0xff}) {
		t.Errorf("replaced by %d: %+v, %v", replaced.Revision, l, err)
	}
	now, doubt, err := store.Now(t.Context())
	if d := now.Sub(l.Now); err != nil || d < -doubt-time.Second || d > time.Minute {
		t.Errorf("listed at %v, %v by the server's time, %v", l.Now, now, err)
	}
}

// usageIsListed holds for stores that are a flow.Lister.
func usageIsListed(t *testing.T, _ *Harness, open Open) {
	store := open(-5 * time.Minute)
	if _, ok := store.(flow.Lister); !ok {
		if _, err := flow.ListUsage(t.Context(), store, "limit", "", 1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v, want ErrUnsupported", err)
		}
		t.Skip("the store lists nothing")
	}
	o := &flow.SharedOptions{Timeout: flow.MaxTimeout, Members: func() int { return 1000 }}
	r := flow.Rate{Limit: 5, Per: time.Hour, Strategy: flow.SlidingLog}
	l := limiter(t, store, r, o)
	long := strings.Repeat("long", 100)
	used := map[string]int{"": 1, "b/\u00fc.*": 2, "c": 3, long: 1}
	for key, n := range used {
		for range n {
			inService(t, l, key)
		}
	}
	await(t, "the key to be closed", func() bool { return l.CloseFor(t.Context(), "c", 2*time.Hour) == nil })
	if _, err := store.Swap(t.Context(), "limit/key/d", 0, []byte("garbage"), time.Hour); err != nil {
		t.Fatal(err)
	}
	pages := 0
	reader := open(5 * time.Minute)
	for after, more := "", true; more; pages++ {
		page, err := flow.ListUsage(t.Context(), reader, "limit", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Keys {
			checkUsage(t, &page.Keys[i], r, used)
		}
		after, more = page.Next, page.Next != ""
	}
	if pages != 3 || len(used) != 0 {
		t.Errorf("%d pages, without %v", pages, used)
	}
}

// checkUsage compares the usage of a key, and takes it from those that are wanted. A start may
// have been reserved and dropped on a loaded machine.
func checkUsage(t *testing.T, u *flow.Usage, r flow.Rate, used map[string]int) {
	t.Helper()
	key, now := u.Key, time.Now()
	switch {
	case u.SHA256 != "":
		key = strings.Repeat("long", 100)
	case u.Key == "d":
		if u.Err == nil || u.Limit != 0 {
			t.Errorf("a malformed row is listed as %+v", u)
		}
		return
	}
	want, listed := used[key]
	delete(used, key)
	closed, remaining := key == "c", r.Limit-u.Used
	if closed {
		remaining = 0
	}
	if !listed || u.Err != nil || u.Rate != r || u.Limit != r.Limit || u.Used < want || u.Remaining != remaining || u.Overflow {
		t.Errorf("%s: %+v, want %d used of %+v", strconv.Quote(key), u, want, r)
	}
	if d := u.ClosedUntil.Sub(now); closed != !u.ClosedUntil.IsZero() || closed && (d < 90*time.Minute || d > 121*time.Minute) {
		t.Errorf("%q is closed until %v", key, u.ClosedUntil)
	}
	if d := u.ResetAt.Sub(now); !closed && (d < 30*time.Minute || d > 61*time.Minute) || closed && !u.ResetAt.Equal(u.ClosedUntil) {
		t.Errorf("%q is free again in %v", key, d)
	}
}
