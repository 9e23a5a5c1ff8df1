package outboxtest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

func reading() []promise {
	return []promise{
		{name: "Pending/an event comes back as it was added", keeps: roundTrip},
		{name: "Pending/an id is assigned", keeps: assignsIDs},
		{name: "Pending/rows come in the order of hash, seq and id", keeps: inOrder},
		{name: "Pending/rows of a key that have no seq come in the order in which they were added", keeps: asAdded},
		{name: "Pending/pages are bounded by rows, and miss nothing", keeps: pages},
		{name: "Pending/pages are bounded by bytes", keeps: pagesByBytes},
		{name: "Pending/a key with many rows holds up none", keeps: passesHotKey},
		{name: "Pending/only the hashes asked for", keeps: ranges},
		{name: "Pending/an ended context", keeps: endedContext},
	}
}

func roundTrip(t *testing.T, k *kit) {
	e := bus.Event{
		ID: "a::b%3A.é", Topic: "orders.new", Key: "key $ .", Type: "order.placed", Source: "shop", Time: time.Unix(1_700_000_000, 123_000_000).UTC(),
		ContentType: "application/json", Data: []byte{0, 1, 0xff}, Headers: bus.Headers{"A.b": {"1", "2"}, "$c": {"ü"}},
	}
	k.add(t, outbox.Row{Event: e, Seq: 7}, outbox.Row{Event: bus.Event{ID: "bare", Topic: "t"}})
	r := k.read(t, e.ID)
	if r.Event.Time = r.Event.Time.UTC(); !reflect.DeepEqual(r.Event, e) {
		t.Errorf("added\n%+v, read\n%+v", e, r.Event)
	}
	if r.Seq != 7 || r.Hash != outbox.Hash(e.Key, e.ID) || r.Status != outbox.Pending || r.Attempts != 0 || r.After != 0 || r.Added.IsZero() || !r.Sent.IsZero() {
		t.Errorf("row %+v", r)
	}
	if b := k.read(t, "bare"); len(b.Event.Data) != 0 || len(b.Event.Headers) != 0 || !b.Event.Time.IsZero() {
		t.Errorf("bare row %+v", b)
	}
}

func assignsIDs(t *testing.T, k *kit) {
	got := k.s.Add(t, row("k", ""), row("", ""), row("k", "mine"))
	if got[0] == "" || got[0] == got[1] || got[2] != "mine" {
		t.Fatalf("ids %q", got)
	}
	for _, id := range got {
		if r := k.read(t, id); r.Hash != outbox.Hash(r.Event.Key, id) {
			t.Errorf("row %q has hash %#x", id, r.Hash)
		}
	}
}

func inOrder(t *testing.T, k *kit) {
	var rows []outbox.Row
	for _, key := range []string{"x", "y", "z"} {
		for seq := uint64(1); seq <= 5; seq++ {
			for _, id := range []string{"a", "b"} {
				r := row(key, fmt.Sprint(key, seq, id))
				r.Seq = seq
				rows = append(rows, r)
			}
		}
	}
	want := byHash(rows...)
	slices.Reverse(rows)
	k.add(t, rows...)
	equal(t, "pending", k.pending(t), want)
}

func asAdded(t *testing.T, k *kit) {
	var rows []outbox.Row
	for i := range 20 {
		r := row("k", fmt.Sprint(99-i)) // not the order of the ids
		rows = append(rows, r)
		k.add(t, r)
	}
	batch := []outbox.Row{row("k", "c"), row("k", "b"), row("k", "a")}
	k.add(t, batch...)
	equal(t, "pending", k.pending(t), ids(append(rows, batch...)))
}

func pages(t *testing.T, k *kit) {
	var rows []outbox.Row
	for i := range 40 {
		rows = append(rows, rowsOf(fmt.Sprint("key", i), 3)...)
	}
	k.add(t, rows...)
	equal(t, "in one page", k.pending(t), byHash(rows...))
	for _, n := range []int{1, 2, 3, 4, 7, 120} {
		var found []string
		for a := (outbox.Ask{Rows: n}); ; {
			p := k.page(t, a)
			if len(p.Rows) > n {
				t.Fatalf("a page of %d rows; want at most %d", len(p.Rows), n)
			}
			found = append(found, ids(p.Rows)...)
			if last := len(p.Rows) - 1; p.Cut && last >= 0 { // the rest of the last key
				rest := ids(k.page(t, outbox.Ask{From: p.Rows[last].Hash, To: p.Rows[last].Hash}).Rows)
				for _, id := range rest {
					if !slices.Contains(found, id) {
						found = append(found, id)
					}
				}
			}
			if p.Next == 0 {
				break
			}
			a.From = p.Next
		}
		equal(t, fmt.Sprintf("in pages of %d", n), found, byHash(rows...))
	}
}

func pagesByBytes(t *testing.T, k *kit) {
	rows := make([]outbox.Row, 20)
	for i := range rows {
		rows[i] = row("", fmt.Sprint("id", i))
		rows[i].Event.Data = make([]byte, 10_000)
	}
	k.add(t, rows...)
	if n := len(k.page(t, outbox.Ask{Bytes: 35_000}).Rows); n < 1 || n > 5 {
		t.Errorf("%d rows of 10 kB in a page of 35 kB", n)
	}
	if n := len(k.page(t, outbox.Ask{Bytes: 1}).Rows); n != 1 {
		t.Errorf("%d rows in a page that is smaller than each; want 1", n)
	}
	equal(t, "in pages of 35 kB", ids(k.walk(t, outbox.Ask{Bytes: 35_000})), byHash(rows...))
}

func passesHotKey(t *testing.T, k *kit) {
	hot := rowsOf("hot", 200)
	var cold []outbox.Row
	for i := range 30 {
		cold = append(cold, row("", fmt.Sprint("cold", i)))
	}
	k.add(t, append(hot, cold...)...)
	found := map[string]int{}
	for _, r := range k.walk(t, outbox.Ask{Rows: 10}) {
		found[r.Event.Key]++
	}
	if found[""] != len(cold) || found["hot"] == 0 || found["hot"] > 10 {
		t.Errorf("a walk in pages of 10 found %v; want all of 30 others, and at most 10 of the hot key", found)
	}
}

func ranges(t *testing.T, k *kit) {
	var rows []outbox.Row
	for i := range 50 {
		rows = append(rows, row("", fmt.Sprint("id", i)))
	}
	k.add(t, rows...)
	var found []string
	for i := range 5 {
		first, last := outbox.Partition(i, 5)
		for _, r := range k.walk(t, outbox.Ask{From: first, To: last, Rows: 3}) {
			if r.Hash < first || r.Hash > last {
				t.Errorf("hash %#x is not from %#x to %#x", r.Hash, first, last)
			}
			found = append(found, r.Event.ID)
		}
	}
	equal(t, "in five ranges", found, byHash(rows...))
	one := outbox.Hash("", "id7")
	equal(t, "of one hash", ids(k.page(t, outbox.Ask{From: one, To: one}).Rows), []string{"id7"})
}

func endedContext(t *testing.T, k *kit) {
	ctx := cancelled(t)
	if _, err := k.queue.Acquire(ctx, "a", long); err == nil {
		t.Error("Acquire under an ended context: no error")
	}
	if _, err := k.queue.Pending(ctx, outbox.Ask{To: outbox.MaxHash, Rows: 1, Bytes: 1}); err == nil {
		t.Error("Pending under an ended context: no error")
	}
	if _, err := k.queue.Settle(ctx, []outbox.Result{{ID: "a"}}); err == nil {
		t.Error("Settle under an ended context: no error")
	}
}
