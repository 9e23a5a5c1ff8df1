package outboxtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// kit is the outbox of one case, with what the cases do to it.
type kit struct {
	h     Harness
	s     Subject
	queue outbox.Queue
	admin outbox.Admin
}

func newKit(t *testing.T, h Harness) *kit {
	t.Helper()
	k := &kit{h: h, s: h.New(t)}
	if k.s.Queue == nil || k.s.Add == nil {
		t.Fatal("outboxtest: Subject.Queue or Subject.Add is nil: both are needed")
	}
	k.queue = k.s.Queue
	k.admin, _ = k.queue.(outbox.Admin) // nil: it is none
	return k
}

// long is a lease, or a backoff, that does not end while a case runs.
const long = time.Hour

const topic = "orders.new"

func row(key, id string) outbox.Row {
	return outbox.Row{Event: bus.Event{ID: id, Topic: topic, Key: key, Data: []byte("payload of " + id)}}
}

// rowsOf are n rows of one key, named by their number, from 1.
func rowsOf(key string, n int) []outbox.Row {
	rows := make([]outbox.Row, n)
	for i := range rows {
		rows[i] = row(key, fmt.Sprintf("%s-%06d", key, i+1))
	}
	return rows
}

// add adds in parts, for stores bound what one call may have.
func (k *kit) add(t *testing.T, rows ...outbox.Row) {
	t.Helper()
	for part := range slices.Chunk(rows, 500) {
		if ids := k.s.Add(t, part...); len(ids) != len(part) {
			t.Fatalf("Add of %d rows gave %d ids", len(part), len(ids))
		}
	}
}

func (k *kit) acquire(t *testing.T, owner string, lease time.Duration) []outbox.Lease {
	t.Helper()
	leases, err := k.queue.Acquire(t.Context(), owner, lease)
	if err != nil {
		t.Fatalf("Acquire for %s: %v", owner, err)
	}
	return leases
}

func (k *kit) release(t *testing.T, owner string, leases ...outbox.Lease) {
	t.Helper()
	if err := k.queue.Release(t.Context(), owner, leases); err != nil {
		t.Fatalf("Release of %s: %v", owner, err)
	}
}

func (k *kit) page(t *testing.T, a outbox.Ask) outbox.Page {
	t.Helper()
	if a.To == 0 {
		a.To = outbox.MaxHash
	}
	if a.Rows == 0 {
		a.Rows = 1000
	}
	if a.Bytes == 0 {
		a.Bytes = 64 << 20
	}
	p, err := k.queue.Pending(t.Context(), a)
	if err != nil {
		t.Fatalf("Pending: %v", err)
	}
	return p
}

// walk reads all pages from one end to the other.
func (k *kit) walk(t *testing.T, a outbox.Ask) []outbox.Row {
	t.Helper()
	var rows []outbox.Row
	for {
		p := k.page(t, a)
		rows = append(rows, p.Rows...)
		if p.Next == 0 {
			return rows
		}
		if n := len(p.Rows); p.Next <= a.From || n > 0 && p.Next <= p.Rows[n-1].Hash {
			t.Fatalf("a page from %#x, of %d rows, goes on at %#x", a.From, n, p.Next)
		}
		a.From = p.Next
	}
}

// pending are the ids of all pending rows that may be published, in order.
func (k *kit) pending(t *testing.T) []string {
	t.Helper()
	return ids(k.walk(t, outbox.Ask{}))
}

func ids(rows []outbox.Row) []string {
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = rows[i].Event.ID
	}
	return out
}

// read returns the pending row of an id.
func (k *kit) read(t *testing.T, id string) outbox.Row {
	t.Helper()
	for _, r := range k.walk(t, outbox.Ask{PastDead: true}) {
		if r.Event.ID == id {
			return r
		}
	}
	t.Fatalf("row %q is not pending", id)
	return outbox.Row{}
}

// holding finds the lease of a row's partition.
func holding(t *testing.T, leases []outbox.Lease, r outbox.Row) outbox.Lease {
	t.Helper()
	for _, l := range leases {
		if l.First <= r.Hash && r.Hash <= l.Last {
			return l
		}
	}
	t.Fatalf("none of %d leases is of hash %#x", len(leases), r.Hash)
	return outbox.Lease{}
}

// result is about a row as it was read.
func result(t *testing.T, leases []outbox.Lease, r outbox.Row, o outbox.Outcome) outbox.Result {
	t.Helper()
	out := outbox.Result{Lease: holding(t, leases, r), ID: r.ID, Version: r.Version, Outcome: o}
	switch o {
	case outbox.Refused:
		out.Reason, out.After = "refused for the test", long
	case outbox.GivenUp:
		out.Reason = "given up for the test"
	case outbox.Confirmed:
	}
	return out
}

func (k *kit) settle(t *testing.T, rs ...outbox.Result) []bool {
	t.Helper()
	oks, err := k.queue.Settle(t.Context(), rs)
	if err != nil || len(oks) != len(rs) {
		t.Fatalf("Settle of %d: %d answers, %v", len(rs), len(oks), err)
	}
	return oks
}

// settled settles one row, which must succeed.
func (k *kit) settled(t *testing.T, leases []outbox.Lease, id string, o outbox.Outcome) {
	t.Helper()
	if ok := k.settle(t, result(t, leases, k.read(t, id), o)); !ok[0] {
		t.Fatalf("row %q could not be %v", id, o)
	}
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: %v; want %v", what, got, want)
	}
}

// byHash sorts ids of rows as pages do.
func byHash(rows ...outbox.Row) []string {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b outbox.Row) int {
		x, y := outbox.Hash(a.Event.Key, a.Event.ID), outbox.Hash(b.Event.Key, b.Event.ID)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return ids(rows)
}

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
