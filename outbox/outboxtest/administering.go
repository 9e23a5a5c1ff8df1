package outboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/onceish/onceish/outbox"
)

func administering() []promise {
	return []promise{
		{name: "Admin/Count", keeps: counts},
		{name: "Admin/CountBacklog", keeps: countsBacklog},
		{name: "Admin/List filters", keeps: lists},
		{name: "Admin/Retry makes dead rows pending, and their keys go on", keeps: retries},
		{name: "Admin/Retry makes rows due that wait", keeps: retriesWaiting},
		{name: "Admin/Drop removes dead rows, and their keys go on", keeps: drops},
		{name: "Admin/Retry and Drop want a filter", keeps: wantsFilter},
		{name: "Admin/Republish", keeps: republishes},
		{name: "Admin/how long ago is told by the store's clock", keeps: countsBack},
	}
}

func counts(t *testing.T, k *kit) {
	if c, err := k.admin.Count(t.Context()); err != nil || c != (outbox.Counts{}) {
		t.Fatalf("Count of nothing: %+v, %v", c, err)
	}
	k.add(t, rowsOf("", 5)...)
	leases := k.acquire(t, "a", long)
	k.settled(t, leases, "-000001", outbox.Confirmed)
	k.settled(t, leases, "-000002", outbox.GivenUp)
	k.settled(t, leases, "-000003", outbox.Refused)
	k.h.Wait(t, 10*time.Millisecond)
	c, err := k.admin.Count(t.Context())
	if err != nil || c.Pending != 3 || c.Sent != 1 || c.Dead != 1 || c.Oldest < 10*time.Millisecond || c.Oldest > k.h.Patience {
		t.Errorf("Count: %+v, %v; want 3 pending, 1 sent, 1 dead", c, err)
	}
}

func countsBacklog(t *testing.T, k *kit) {
	counter, ok := k.queue.(outbox.BacklogCounter)
	if !ok {
		t.Skip("the queue is no outbox.BacklogCounter")
	}
	if b, err := counter.CountBacklog(t.Context(), 10); err != nil || b != (outbox.Backlog{}) {
		t.Fatalf("CountBacklog of nothing: %+v, %v", b, err)
	}
	k.add(t, rowsOf("", 5)...)
	leases := k.acquire(t, "a", long)
	k.settled(t, leases, "-000001", outbox.Confirmed)
	k.settled(t, leases, "-000002", outbox.GivenUp)
	k.h.Wait(t, 10*time.Millisecond)
	for most, want := range map[int]int{10: 3, 2: 2} {
		b, err := counter.CountBacklog(t.Context(), most)
		if err != nil || b.Pending != want || b.Dead != 1 || b.Oldest < 10*time.Millisecond || b.Oldest > k.h.Patience {
			t.Errorf("CountBacklog(%d): %+v, %v; want %d pending, 1 dead", most, b, err, want)
		}
	}
}

func (k *kit) list(t *testing.T, f outbox.Filter) []string {
	t.Helper()
	rows, err := k.admin.List(t.Context(), f, 100)
	if err != nil {
		t.Fatalf("List(%+v): %v", f, err)
	}
	return ids(rows)
}

func lists(t *testing.T, k *kit) {
	a, b, c := row("x", "a"), row("y", "b"), row("x", "c")
	c.Event.Topic = "invoices.new"
	k.add(t, a)
	k.h.Wait(t, 10*time.Millisecond)
	k.add(t, b)
	k.h.Wait(t, 10*time.Millisecond)
	k.add(t, c)
	leases := k.acquire(t, "a", long)
	k.settled(t, leases, "b", outbox.GivenUp)
	rows, err := k.admin.List(t.Context(), outbox.Filter{}, 100)
	if err != nil || len(rows) != 3 {
		t.Fatalf("List: %d rows, %v", len(rows), err)
	}
	if r := rows[1]; r.Status != outbox.Dead || r.Reason == "" || !bytes.Equal(r.Event.Data, b.Event.Data) || r.Attempts != 0 {
		t.Errorf("listed %+v", r)
	}
	for name, c := range map[string]struct {
		f    outbox.Filter
		want []string
	}{
		"all":     {outbox.Filter{}, []string{"a", "b", "c"}},
		"ids":     {outbox.Filter{IDs: []string{"c", "a", "nobody"}}, []string{"a", "c"}},
		"topic":   {outbox.Filter{Topic: topic}, []string{"a", "b"}},
		"pattern": {outbox.Filter{Topic: "*.new"}, []string{"a", "b", "c"}},
		"tail":    {outbox.Filter{Topic: "invoices.>"}, []string{"c"}},
		"key":     {outbox.Filter{Key: "x"}, []string{"a", "c"}},
		"dead":    {outbox.Filter{Status: outbox.Dead}, []string{"b"}},
		"pending": {outbox.Filter{Status: outbox.Pending}, []string{"a", "c"}},
		"from":    {outbox.Filter{From: at(rows[1].Added)}, []string{"b", "c"}},
		"to":      {outbox.Filter{To: at(rows[1].Added)}, []string{"a"}},
		"both":    {outbox.Filter{Key: "x", Topic: topic}, []string{"a"}},
	} {
		equal(t, name, k.list(t, c.f), c.want)
	}
	if rows, err = k.admin.List(t.Context(), outbox.Filter{}, 2); err != nil {
		t.Fatalf("List: %v", err)
	}
	equal(t, "the first two", ids(rows), []string{"a", "b"})
}

func (k *kit) did(t *testing.T, what string, n int, err error, want int) {
	t.Helper()
	if err != nil || n != want {
		t.Fatalf("%s: %d rows, %v; want %d", what, n, err, want)
	}
}

// blocked has a key of four rows whose second is dead, after an attempt, by the settlement
// that is returned.
func (k *kit) blocked(t *testing.T) outbox.Result {
	t.Helper()
	k.add(t, rowsOf("k", 4)...)
	leases := k.acquire(t, "a", long)
	r := result(t, leases, k.read(t, "k-000002"), outbox.GivenUp)
	r.Attempt = true
	equal(t, "given up", k.settle(t, r), []bool{true})
	equal(t, "pending", k.pending(t), []string{"k-000001"})
	rows, err := k.admin.List(t.Context(), outbox.Filter{Status: outbox.Dead}, 10)
	if err != nil || len(rows) != 1 || rows[0].Attempts != 1 {
		t.Fatalf("dead: %+v, %v; want one, after one attempt", rows, err)
	}
	return r
}

func retries(t *testing.T, k *kit) {
	stale := k.blocked(t)
	stale.Outcome = outbox.Confirmed
	n, err := k.admin.Retry(t.Context(), outbox.Filter{Key: "k"})
	k.did(t, "Retry", n, err, 1)
	equal(t, "pending", k.pending(t), ids(rowsOf("k", 4)))
	if r := k.read(t, "k-000002"); r.Attempts != 0 || r.After != 0 {
		t.Errorf("retried: %+v", r)
	}
	equal(t, "settled as it was before", k.settle(t, stale), []bool{false})
	n, err = k.admin.Retry(t.Context(), outbox.Filter{Key: "k"})
	k.did(t, "Retry again", n, err, 0)
}

func retriesWaiting(t *testing.T, k *kit) {
	k.add(t, row("", "a"))
	k.settled(t, k.acquire(t, "a", long), "a", outbox.Refused)
	n, err := k.admin.Retry(t.Context(), outbox.Filter{IDs: []string{"a"}, Status: outbox.Pending})
	k.did(t, "Retry", n, err, 1)
	if r := k.read(t, "a"); r.After != 0 || r.Attempts != 0 {
		t.Errorf("retried: %+v", r)
	}
}

func drops(t *testing.T, k *kit) {
	k.blocked(t)
	n, err := k.admin.Drop(t.Context(), outbox.Filter{Topic: "orders.*"})
	k.did(t, "Drop", n, err, 1)
	equal(t, "pending", k.pending(t), []string{"k-000001", "k-000003", "k-000004"})
	leases := k.acquire(t, "a", long)
	taken := result(t, leases, k.read(t, "k-000003"), outbox.Confirmed)
	n, err = k.admin.Drop(t.Context(), outbox.Filter{Key: "k", Status: outbox.Pending})
	k.did(t, "Drop of pending rows", n, err, 3)
	equal(t, "settled what was dropped", k.settle(t, taken), []bool{false})
	equal(t, "left", k.list(t, outbox.Filter{}), []string{})
}

func wantsFilter(t *testing.T, k *kit) {
	k.blocked(t)
	for _, f := range []outbox.Filter{{}, {Status: outbox.Dead}} {
		if _, err := k.admin.Retry(t.Context(), f); !errors.Is(err, outbox.ErrNoFilter) {
			t.Errorf("Retry(%+v): %v; want ErrNoFilter", f, err)
		}
		if _, err := k.admin.Drop(t.Context(), f); !errors.Is(err, outbox.ErrNoFilter) {
			t.Errorf("Drop(%+v): %v; want ErrNoFilter", f, err)
		}
	}
	if _, err := k.admin.Retry(t.Context(), outbox.Filter{Topic: ">", Status: outbox.Sent}); err == nil {
		t.Error("Retry of sent rows: no error")
	}
	equal(t, "dead", k.list(t, outbox.Filter{Status: outbox.Dead}), []string{"k-000002"})
}

func at(t time.Time) outbox.Moment { return outbox.Moment{Time: t} }

// countsBack: how long ago something was is a matter of the store's clock.
func countsBack(t *testing.T, k *kit) {
	k.add(t, row("", "a"))
	k.settled(t, k.acquire(t, "a", long), "a", outbox.Confirmed)
	queues := []outbox.Queue{k.queue}
	if k.s.Skewed != nil {
		queues = append(queues, k.s.Skewed(t, 5*time.Minute), k.s.Skewed(t, -5*time.Minute))
	}
	for i, q := range queues {
		admin, _ := q.(outbox.Admin)
		other := *k
		other.admin = admin
		ago := outbox.Moment{Ago: 2 * time.Minute}
		if got := other.list(t, outbox.Filter{To: ago}); len(got) != 0 {
			t.Errorf("queue %d: %v were added two minutes ago", i, got)
		}
		if got := other.list(t, outbox.Filter{From: ago}); len(got) != 1 {
			t.Errorf("queue %d: %d rows were added in the last two minutes, want 1", i, len(got))
		}
		n, err := admin.Republish(t.Context(), ">", outbox.Moment{}, ago)
		k.did(t, "Republish of what was sent two minutes ago", n, err, 0)
		n, err = admin.Republish(t.Context(), ">", ago, outbox.Moment{})
		k.did(t, "Republish of the last two minutes", n, err, 1)
		k.settled(t, k.acquire(t, "a", long), "a", outbox.Confirmed)
	}
}

func republishes(t *testing.T, k *kit) {
	var rows []outbox.Row
	for i := range 4 {
		r := row("k", fmt.Sprint("row", i))
		if i == 3 {
			r.Event.Topic = "invoices.new"
		}
		rows = append(rows, r)
		k.add(t, r)
		k.h.Wait(t, 10*time.Millisecond)
		k.settled(t, k.acquire(t, "a", long), r.Event.ID, outbox.Confirmed)
		k.h.Wait(t, 10*time.Millisecond)
	}
	k.add(t, row("k", "new"))
	sent, err := k.admin.List(t.Context(), outbox.Filter{Status: outbox.Sent}, 10)
	if err != nil || len(sent) != 4 || sent[1].Sent.IsZero() {
		t.Fatalf("sent: %+v, %v", sent, err)
	}
	equal(t, "pending", k.pending(t), []string{"new"})
	n, err := k.admin.Republish(t.Context(), "orders.>", at(sent[1].Sent), at(sent[3].Sent.Add(time.Minute)))
	k.did(t, "Republish", n, err, 2)
	equal(t, "pending", k.pending(t), []string{"row1", "row2", "new"})
	if r := k.read(t, "row1"); r.Attempts != 0 || r.After != 0 || !r.Sent.IsZero() || r.Copies != 1 || !bytes.Equal(r.Event.Data, rows[1].Event.Data) {
		t.Errorf("republished: %+v", r)
	}
	n, err = k.admin.Republish(t.Context(), ">", at(sent[0].Sent), at(sent[0].Sent))
	k.did(t, "Republish of no time", n, err, 0)
	k.settled(t, k.acquire(t, "a", long), "row1", outbox.Confirmed)
	equal(t, "pending", k.pending(t), []string{"row2", "new"})
}
