package grouptest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/group"
)

func (k *kit) put(t *testing.T, space group.Space, key, data string, expect uint64) uint64 {
	t.Helper()
	revision, err := k.Store.Put(t.Context(), space, name, key, []byte(data), expect)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func (k *kit) list(t *testing.T, space group.Space) group.Listing {
	t.Helper()
	l, err := k.Store.List(t.Context(), space, name)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(l.Rows, func(a, b group.Row) int { return int(a.Revision) - int(b.Revision) })
	return l
}

// strange is a key of bytes that mean something elsewhere.
const strange = "topic:a.b > * %41 =41 é/.\""

func writesNameRevisions(t *testing.T, k *kit) {
	for _, space := range []group.Space{group.MemberRows, group.PauseRows, group.LeaseRows, group.PlanRows} {
		refused := func(what string, expect uint64) {
			t.Helper()
			if _, err := k.Store.Put(t.Context(), space, name, strange, nil, expect); !errors.Is(err, group.ErrConflict) {
				t.Errorf("space %d, %s: %v; want ErrConflict", space, what, err)
			}
		}
		refused("a row that is not there", 7)
		first := k.put(t, space, strange, "1", 0)
		refused("one that is there already", 0)
		second := k.put(t, space, strange, "2", first)
		refused("an older revision", first)
		if second <= first {
			t.Errorf("space %d: revision %d after %d", space, second, first)
		}
		if l := k.list(t, space); len(l.Rows) != 1 || string(l.Rows[0].Data) != "2" || l.Rows[0].Key != strange || l.Revision != second {
			t.Errorf("space %d: %+v", space, l)
		}
		for range 2 { // what is deleted is deleted
			if err := k.Store.Delete(t.Context(), space, name, strange); err != nil {
				t.Errorf("space %d: %v", space, err)
			}
		}
		if l := k.list(t, space); len(l.Rows) != 0 {
			t.Errorf("space %d: deleted, and listed: %+v", space, l)
		}
		if third := k.put(t, space, strange, "3", 0); third <= second {
			t.Errorf("space %d: revision %d after %d and a delete", space, third, second)
		}
	}
}

func rowsExpire(t *testing.T, k *kit) {
	spaces := []group.Space{group.MemberRows, group.PauseRows, group.LeaseRows, group.PlanRows}
	stays := func(space group.Space) bool { return space == group.PauseRows || space == group.PlanRows }
	for _, space := range spaces {
		k.put(t, space, "old", "", 0)
		k.put(t, space, "renewed", "", 0)
	}
	time.Sleep(k.ttl() * 2 / 3)
	for _, space := range spaces {
		k.put(t, space, "renewed", "", group.AnyRevision)
	}
	time.Sleep(k.ttl()*2/3 - 100*time.Millisecond)
	for _, space := range spaces {
		l, want := k.list(t, space), 1
		if stays(space) {
			want = 2
		}
		if len(l.Rows) != want || l.Rows[len(l.Rows)-1].Key != "renewed" {
			t.Errorf("space %d: %+v; want %d rows", space, l.Rows, want)
		}
		if l.Created.IsZero() || l.Created.After(l.Now) {
			t.Errorf("space %d: created at %v, listed at %v", space, l.Created, l.Now)
		}
		for _, row := range l.Rows {
			if age := l.Now.Sub(row.Stored); age < 0 || !stays(space) && age > k.ttl() {
				t.Errorf("space %d: a row is %v old", space, age)
			}
		}
	}
	for _, space := range spaces[:1] {
		eventually(t, "an expired row may be made again", func() bool {
			_, err := k.Store.Put(t.Context(), space, name, "old", nil, 0)
			return err == nil
		})
	}
}

func listingsAndWatches(t *testing.T, k *kit) {
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- k.Store.Watch(ctx, name, func() { changes <- struct{}{} }) }()
	signaled := func() {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(20 * time.Second):
			t.Fatal("no signal")
		}
	}
	signaled()                                                                                      // it has begun
	if _, err := k.Store.Put(t.Context(), group.PauseRows, "billing", "eu.x", nil, 0); err != nil { // another group
		t.Fatal(err)
	}
	for i := range 20 {
		for _, space := range []group.Space{group.PauseRows, group.PlanRows} {
			revision := k.put(t, space, "x", "", group.AnyRevision)
			if l := k.list(t, space); l.Revision != revision || len(l.Rows) != 1 {
				t.Fatalf("write %d: revision %d is not listed: %+v", i, revision, l)
			}
			signaled()
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
