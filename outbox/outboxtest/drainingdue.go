package outboxtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// drainingDue is what drainers do with rows that are due later.
func drainingDue(able *kit) []promise {
	_, is := able.queue.(outbox.DueReleaser)
	none := !is || able.admin == nil
	return []promise{
		{name: "Drainer/rows are published when they are due, in that order per key", keeps: drainsDue, unless: none},
		{name: "Drainer/a row that is due holds nothing of its key up before", keeps: drainsPastScheduled, unless: none},
		{name: "Drainer/rows that become due in an outage are published after it, once", keeps: drainsDueAfterOutage, unless: none},
		{name: "Drainer/what was cancelled is not published, and what was not is", keeps: drainsOrCancels, unless: none},
		{name: "Drainer/it does not ask for due rows all the time", keeps: waitsForDue, unless: none},
	}
}

func drainsDue(t *testing.T, k *kit) {
	w := newWorld(k)
	var mu sync.Mutex
	at := map[string]time.Time{}
	w.bus.answer = func(e *bus.Event) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		at[e.ID] = time.Now()
		return true, nil
	}
	before := time.Now()
	now := w.now(t)
	a, b := w.start(t, nil), w.start(t, nil)
	base := now.Add(k.h.Lease / 2)
	var rows []outbox.Row
	limits := map[string]time.Time{}
	for i := range 10 {
		for _, key := range []string{"x", "y", ""} {
			id := fmt.Sprintf("%s-%06d", key, 9-i)
			due := outbox.DueTime(base.Add(time.Duration(9-i) * 7 * time.Millisecond))
			rows = append(rows, outbox.At(due, row(key, id).Event)...)
			limits[id] = before.Add(due.Sub(now) - k.h.Lease/10) // the store's clock has shown about now after before
		}
	}
	w.add(t, rows...) // at once: some may be due already
	w.awaitSent(t, len(rows), a, b)
	w.bus.ordered(t, "x", "y")
	w.once(t)
	mu.Lock()
	defer mu.Unlock()
	for id, limit := range limits {
		if at[id].Before(limit) {
			t.Errorf("%s was published %v before it was due", id, limit.Sub(at[id]))
		}
	}
}

func drainsPastScheduled(t *testing.T, k *kit) {
	w := newWorld(k)
	now := w.now(t)
	w.add(t, due(now.Add(k.h.Lease), "k", "scheduled")...)
	w.add(t, rowsOf("k", 3)...)
	d := w.start(t, nil)
	w.await(t, "all being marked", func() bool { return d.Stats().Sent == 4 })
	equal(t, "published", w.bus.first("k"), append(ids(rowsOf("k", 3)), "scheduled"))
	w.once(t)
}

// drainsDueAfterOutage has rows become due while the bus does not answer, and one confirmation
// lost.
func drainsDueAfterOutage(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.answer = func(*bus.Event) (bool, error) { return false, errTimeout }
	w.add(t, due(w.now(t).Add(k.h.Lease/4), "k", "1", "2", "3")...)
	a, b := w.start(t, nil), w.start(t, nil)
	w.await(t, "an outage", func() bool { return a.Stats().Outages+b.Stats().Outages > 0 })
	lost := false
	w.bus.answers(func(*bus.Event) (bool, error) {
		if !lost {
			lost = true
			return true, errTimeout
		}
		return true, nil
	})
	w.awaitSent(t, 3, a, b)
	w.bus.ordered(t, "k")
	if again := w.bus.repeats(); !slices.Equal(again, []string{"1"}) && !w.stoodStill(t) {
		t.Errorf("published again: %q; want the one whose confirmation was lost", again)
	}
}

// drainsOrCancels cancels rows at the time when they are due, with two drainers at work.
func drainsOrCancels(t *testing.T, k *kit) {
	const n = 40
	w := newWorld(k)
	base := w.now(t).Add(k.h.Lease / 4)
	a, b := w.start(t, nil), w.start(t, nil)
	for i := range n {
		w.add(t, due(base.Add(time.Duration(i)*5*time.Millisecond), "", fmt.Sprintf("%03d", i))...)
	}
	w.await(t, "the first being published", func() bool { return w.bus.published() > 0 })
	cancelled := map[string]bool{}
	for i := range n {
		id := fmt.Sprintf("%03d", n-1-i)
		switch got, err := k.schedules(t).Cancel(t.Context(), rowID(id)); {
		case err != nil:
			t.Fatalf("Cancel: %v", err)
		case got == outbox.NotFound:
			t.Fatalf("Cancel of %s: %v", id, got)
		default:
			cancelled[id] = got == outbox.Changed
		}
	}
	left := 0
	for _, is := range cancelled {
		if !is {
			left++
		}
	}
	w.awaitSent(t, left, a, b)
	for id, is := range cancelled {
		if w.bus.has(id) == is {
			t.Errorf("row %s was published: %t, and cancelled: %t", id, !is, is)
		}
	}
}

// waitsForDue counts the calls of a drainer that is told of rows all the time.
func waitsForDue(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, due(w.now(t).Add(long), "", "in an hour")...)
	poll := k.h.Lease / 10
	d := w.start(t, &outbox.Options{PollMin: poll, PollMax: poll})
	w.awaitCalls(t, d, releaseDue, 1)
	first, began := d.spy.count(releaseDue), time.Now()
	for range 20 {
		d.Notify()
		k.h.Wait(t, poll/2)
	}
	if n, most := d.spy.count(releaseDue)-first, int(time.Since(began)/poll)+1; n > most {
		t.Errorf("due rows were asked for %d times; want %d at most", n, most)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	k.counted(t, 0, 1)
}
