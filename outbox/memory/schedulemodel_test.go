package memory_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// drawDue is a time, in the past or in the next minute.
func (m *model) drawDue(t *rapid.T) time.Time {
	return m.now.Add(time.Duration(rapid.IntRange(-5, 60).Draw(t, "due in")) * time.Second)
}

func (m *model) schedule(t *rapid.T) {
	e := bus.Event{
		ID: fmt.Sprintf("%03d", rapid.IntRange(0, 999).Draw(t, "id")), Topic: "a", Key: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "key"),
	}
	r := outbox.At(m.drawDue(t), e)[0]
	r.ID = outbox.RowID(&e)
	if !r.At.After(m.now) || m.find(r.ID) != nil {
		return // it would have the seq of the clock
	}
	_, err := m.queue.AddRows(t.Context(), r)
	m.must(t, err)
	r.Seq, r.Hash, r.Status, r.Added = outbox.DueSeq(r.At, 0), outbox.Hash(e.Key, e.ID), outbox.Scheduled, m.now
	m.rows = append(m.rows, &modelRow{Row: r, due: r.At})
}

// scheduled are the scheduled rows, earliest first.
func (m *model) scheduled() (rows []*modelRow) {
	for _, r := range m.rows {
		if r.Status == outbox.Scheduled {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *modelRow) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.ID, b.ID)) })
	return rows
}

func (m *model) releaseDue(t *rapid.T) {
	most := rapid.IntRange(1, 3).Draw(t, "most")
	out, err := m.queue.ReleaseDue(t.Context(), most)
	m.must(t, err)
	rows, released := m.scheduled(), 0
	for _, r := range rows {
		if released < most && !r.due.After(m.now) {
			r.Status = outbox.Pending
			r.Version++
			released++
		}
	}
	want := outbox.Released{Rows: released}
	if len(rows) > released {
		want.Next = max(0, rows[released].due.Sub(m.now))
	}
	if out != want {
		t.Fatalf("ReleaseDue(%d): %+v; want %+v", most, out, want)
	}
}

// drawRow is any row, and what a change of it is to answer. Nil: there are no rows.
func (m *model) drawRow(t *rapid.T) (*modelRow, outbox.Change) {
	if len(m.rows) == 0 {
		return nil, outbox.NotFound
	}
	r := rapid.SampledFrom(m.rows).Draw(t, "row")
	if r.Status == outbox.Scheduled {
		return r, outbox.Changed
	}
	return r, outbox.TooLate
}

func (m *model) cancel(t *rapid.T) {
	r, want := m.drawRow(t)
	if r == nil {
		return
	}
	got, err := m.queue.Cancel(t.Context(), r.ID)
	m.must(t, err)
	if got != want {
		t.Fatalf("Cancel of a row that is %v: %v", r.Status, got)
	}
	if got != outbox.Changed {
		return
	}
	m.rows = slices.DeleteFunc(m.rows, func(x *modelRow) bool { return x == r })
	if got, err = m.queue.Cancel(t.Context(), r.ID); got != outbox.NotFound || err != nil {
		t.Fatalf("Cancel again: %v, %v", got, err)
	}
}

func (m *model) move(t *rapid.T) {
	r, want := m.drawRow(t)
	if r == nil {
		return
	}
	to := m.drawDue(t)
	got, err := m.queue.Move(t.Context(), r.ID, to)
	m.must(t, err)
	if got != want {
		t.Fatalf("Move of a row that is %v: %v", r.Status, got)
	}
	if got == outbox.Changed {
		if to.Before(m.now) {
			to = m.now
		}
		r.At, r.due, r.Seq = to, to, outbox.DueSeq(to, 0)
		r.Version++
	}
}
