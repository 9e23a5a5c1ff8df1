package memory_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

const (
	modelParts = 5
	modelLease = 10 * time.Second
)

// model is an outbox, kept the slow and plain way.
type model struct {
	queue *memoutbox.Queue
	now   time.Time
	rows  []*modelRow // as added
	parts [modelParts]struct {
		owner string
		token uint64
		until time.Time
	}
	leases  []owned         // all that were ever given out
	reads   []outbox.Row    // rows as they were read at some time
	applied []outbox.Result // settlements that were applied
}

type modelRow struct {
	outbox.Row

	due time.Time
}

type owned struct {
	owner string
	lease outbox.Lease
}

func newModel(t *rapid.T) *model {
	m := &model{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	m.queue, err = memoutbox.New(&memoutbox.Options{Partitions: modelParts, Now: func() time.Time { return m.now }})
	m.must(t, err)
	return m
}

func (m *model) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) find(id string) *modelRow {
	for _, r := range m.rows {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (m *model) add(t *rapid.T) {
	r := outbox.Row{
		Event: bus.Event{
			ID: fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, "id")), Topic: "a", Key: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "key"),
		},
		Seq: rapid.Uint64Range(1, 20).Draw(t, "seq"),
	}
	r.ID = outbox.RowID(&r.Event)
	if m.find(r.ID) != nil {
		return
	}
	_, err := m.queue.AddRows(t.Context(), r)
	m.must(t, err)
	r.Hash, r.Status, r.Added = outbox.Hash(r.Event.Key, r.Event.ID), outbox.Pending, m.now
	m.rows = append(m.rows, &modelRow{Row: r, due: m.now})
}

func (m *model) tick(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second)
}

func (m *model) acquire(t *rapid.T) {
	owner := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "owner")
	leases, err := m.queue.Acquire(t.Context(), owner, modelLease)
	m.must(t, err)
	for _, l := range leases {
		p := &m.parts[l.Partition]
		if p.owner != owner && p.owner != "" && p.until.After(m.now) {
			t.Fatalf("partition %d was given to %s, and %s has it for %v", l.Partition, owner, p.owner, p.until.Sub(m.now))
		}
		if l.Ending != l.Until.Equal(p.until) && !l.Until.Equal(m.now.Add(modelLease)) || l.Left != l.Until.Sub(m.now) {
			t.Fatalf("lease %+v of %s until %v", l, p.owner, p.until)
		}
		if p.owner != owner && l.Token <= p.token {
			t.Fatalf("partition %d went from %s to %s, and its token from %d to %d", l.Partition, p.owner, owner, p.token, l.Token)
		}
		p.owner, p.token, p.until = owner, l.Token, l.Until
		m.leases = append(m.leases, owned{owner, l})
	}
	for i := range m.parts { // what it had and did not get again is free
		if p := &m.parts[i]; p.owner == owner && !slices.ContainsFunc(leases, func(l outbox.Lease) bool { return l.Partition == i }) && p.until.After(m.now) {
			t.Fatalf("partition %d of %s was taken from it", i, owner)
		}
	}
}

func (m *model) release(t *rapid.T) {
	if len(m.leases) == 0 {
		return
	}
	o := rapid.SampledFrom(m.leases).Draw(t, "lease")
	m.must(t, m.queue.Release(t.Context(), o.owner, []outbox.Lease{o.lease}))
	if p := &m.parts[o.lease.Partition]; p.owner == o.owner && p.token == o.lease.Token && p.until.Equal(o.lease.Until) {
		p.until = m.now
	}
}

func (m *model) settle(t *rapid.T) {
	if len(m.reads) == 0 || len(m.leases) == 0 {
		return
	}
	r := rapid.SampledFrom(m.reads).Draw(t, "row")
	res := outbox.Result{
		Lease: rapid.SampledFrom(m.leases).Draw(t, "lease").lease, ID: r.ID, Version: r.Version,
		Outcome: rapid.SampledFrom([]outbox.Outcome{outbox.Confirmed, outbox.Refused, outbox.GivenUp}).Draw(t, "outcome"),
		Attempt: rapid.Bool().Draw(t, "attempt"), After: 5 * time.Second, Reason: "why",
	}
	m.apply(t, res)
}

func (m *model) again(t *rapid.T) {
	if len(m.applied) > 0 {
		m.apply(t, rapid.SampledFrom(m.applied).Draw(t, "result"))
	}
}

func (m *model) apply(t *rapid.T, res outbox.Result) {
	oks, err := m.queue.Settle(t.Context(), []outbox.Result{res})
	m.must(t, err)
	r := m.find(res.ID)
	want := r != nil && r.Status == outbox.Pending && r.Version == res.Version && res.Lease.Until.After(m.now)
	repeat := r != nil && r.Version == res.Version+1 && r.Status == res.Outcome.Status()
	if oks[0] != (want || repeat) {
		t.Fatalf("Settle(%+v) of %+v: %t", res, r, oks[0])
	}
	if !want {
		return
	}
	m.applied = append(m.applied, res)
	r.Version++
	r.Status = res.Outcome.Status()
	switch res.Outcome {
	case outbox.Confirmed:
		r.Sent = m.now
	case outbox.Refused:
		r.Attempts++
		r.due, r.Reason = m.now.Add(res.After), res.Reason
	case outbox.GivenUp:
		if res.Attempt {
			r.Attempts++
		}
		r.Reason = res.Reason
	}
}

func (m *model) retry(t *rapid.T) {
	key := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "key")
	n, err := m.queue.Retry(t.Context(), outbox.Filter{Key: key})
	m.must(t, err)
	m.changed(t, n, func(r *modelRow) bool { return r.Status == outbox.Dead && r.Event.Key == key })
}

func (m *model) republish(t *rapid.T) {
	from := m.now.Add(-time.Duration(rapid.IntRange(0, 60).Draw(t, "ago")) * time.Second)
	n, err := m.queue.Republish(t.Context(), ">", outbox.Moment{Time: from}, outbox.Moment{Time: m.now})
	m.must(t, err)
	m.changed(t, n, func(r *modelRow) bool {
		return r.Status == outbox.Sent && !r.Sent.Before(from) && r.Sent.Before(m.now)
	})
}

// changed makes rows pending again.
func (m *model) changed(t *rapid.T, n int, which func(*modelRow) bool) {
	for _, r := range m.rows {
		if which(r) {
			n--
			r.Status, r.Attempts, r.Reason, r.due, r.Sent = outbox.Pending, 0, "", m.now, time.Time{}
			r.Version++
		}
	}
	if n != 0 {
		t.Fatalf("%d rows too many were changed", n)
	}
}

func (m *model) drop(t *rapid.T) {
	if len(m.rows) == 0 {
		return
	}
	r := rapid.SampledFrom(m.rows).Draw(t, "row")
	n, err := m.queue.Drop(t.Context(), outbox.Filter{IDs: []string{r.Event.ID}, Status: r.Status})
	m.must(t, err)
	if n != 1 {
		t.Fatalf("%d rows were dropped", n)
	}
	m.rows = slices.DeleteFunc(m.rows, func(x *modelRow) bool { return x == r })
	same := func(id string) bool { return id == r.ID } // its id may come again: what was read of it is of another row
	m.reads = slices.DeleteFunc(m.reads, func(x outbox.Row) bool { return same(x.ID) })
	m.applied = slices.DeleteFunc(m.applied, func(x outbox.Result) bool { return same(x.ID) })
}

// read compares a page, and a walk over all.
func (m *model) read(t *rapid.T) {
	past := rapid.Bool().Draw(t, "past the dead")
	var want []outbox.Row
	for _, r := range m.rows {
		if r.Status == outbox.Pending && (past || !m.blocked(r)) {
			out := r.Row
			out.After = max(0, r.due.Sub(m.now))
			want = append(want, out)
		}
	}
	slices.SortFunc(want, func(a, b outbox.Row) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	n := rapid.IntRange(1, 5).Draw(t, "rows")
	for from := uint64(0); ; {
		page, err := m.queue.Pending(t.Context(), outbox.Ask{From: from, To: outbox.MaxHash, Rows: n, Bytes: 1 << 20, PastDead: past})
		m.must(t, err)
		at := slices.IndexFunc(want, func(r outbox.Row) bool { return r.Hash >= from })
		if at < 0 {
			at = len(want)
		}
		rest := want[at:]
		expected := rest[:min(n, len(rest))]
		if !slices.EqualFunc(page.Rows, expected, sameRow) {
			t.Fatalf("page from %#x: %+v; want %+v", from, page.Rows, expected)
		}
		if more := len(rest) > len(expected); more != (page.Next != 0) || more && page.Cut != (rest[n].Hash == rest[n-1].Hash) {
			t.Fatalf("page of %d of %d rows: next %#x, cut %t", len(expected), len(rest), page.Next, page.Cut)
		}
		m.reads = append(m.reads, page.Rows...)
		if from = page.Next; from == 0 {
			return
		}
	}
}

func (m *model) blocked(r *modelRow) bool {
	return r.Event.Key != "" && slices.ContainsFunc(m.rows, func(d *modelRow) bool {
		return d.Status == outbox.Dead && d.Event.Key == r.Event.Key && cmp.Or(cmp.Compare(d.Seq, r.Seq), cmp.Compare(d.ID, r.ID)) < 0
	})
}

func sameRow(a, b outbox.Row) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Attempts == b.Attempts && a.After == b.After && a.Reason == b.Reason &&
		a.Seq == b.Seq && a.Hash == b.Hash && a.Status == b.Status && a.Added.Equal(b.Added)
}

func (m *model) check(t *rapid.T) {
	c, err := m.queue.Count(t.Context())
	m.must(t, err)
	var want outbox.Counts
	for _, r := range m.rows {
		switch r.Status {
		case outbox.Pending:
			want.Pending++
			want.Oldest = max(want.Oldest, min(m.now.Sub(r.Added), m.now.Sub(r.At)))
		case outbox.Sent:
			want.Sent++
		case outbox.Dead:
			want.Dead++
		case outbox.Scheduled:
			want.Scheduled++
		}
	}
	if c != want {
		t.Fatalf("%+v; want %+v", c, want)
	}
}

func TestAQueueDoesWhatItsModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"add": m.add, "add more": m.add, "tick": m.tick, "acquire": m.acquire, "release": m.release, "read": m.read, "settle": m.settle,
			"settle more": m.settle, "again": m.again, "retry": m.retry, "republish": m.republish, "drop": m.drop, "schedule": m.schedule,
			"schedule more": m.schedule, "release due": m.releaseDue, "cancel": m.cancel, "move": m.move, "": m.check,
		})
	})
}
