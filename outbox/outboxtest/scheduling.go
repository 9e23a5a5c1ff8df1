package outboxtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// scheduling is what a store does with rows that are due later.
func scheduling(able *kit) []promise {
	return []promise{
		{name: "Schedules/a row is no backlog until it is due", keeps: schedules},
		{name: "Schedules/rows of a key are in the order in which they are due", keeps: ordersByDue},
		{name: "Schedules/a time that has come means at once", keeps: schedulesThePast},
		{name: "Schedules/what is absurd is refused", keeps: refusesAbsurdTimes, unless: able.s.Refused == nil},
		{name: "Schedules/a row is listed until it is due, earliest first", keeps: listsScheduled},
		{name: "Schedules/a row that was cancelled is never pending", keeps: cancels},
		{name: "Schedules/a row is moved until it is due", keeps: moves},
		{name: "Schedules/either a cancellation or the release of a row wins", keeps: cancelsWhileReleased},
		{name: "Schedules/rows that are due count as pending", keeps: countsDue},
		{name: "Schedules/a client's clock does not matter", keeps: releasesSkewed, unless: able.s.Skewed == nil},
		{name: "Schedules/every call can be repeated", keeps: faultsOfSchedules, unless: able.s.Fault == nil},
	}
}

func (k *kit) schedules(t *testing.T) outbox.Schedules {
	t.Helper()
	s, ok := k.queue.(outbox.Schedules)
	if !ok {
		t.Fatalf("%T is no outbox.Schedules", k.queue)
	}
	return s
}

// now is the time by the store's clock, or a little before it.
func (k *kit) now(t *testing.T) time.Time {
	t.Helper()
	clock := row("", "what time is it")
	k.add(t, clock)
	rows, err := k.admin.List(t.Context(), outbox.Filter{IDs: []string{clock.Event.ID}}, 1)
	if err != nil || len(rows) != 1 {
		t.Fatalf("List: %d rows, %v", len(rows), err)
	}
	n, err := k.admin.Drop(t.Context(), outbox.Filter{IDs: []string{clock.Event.ID}, Status: outbox.Pending})
	k.did(t, "Drop", n, err, 1)
	return rows[0].Added.Truncate(time.Millisecond)
}

// due are rows with these ids, due at a time.
func due(at time.Time, key string, ids ...string) []outbox.Row {
	events := make([]bus.Event, len(ids))
	for i, id := range ids {
		events[i] = row(key, id).Event
	}
	return outbox.At(at, events...)
}

func (k *kit) releaser(t *testing.T) outbox.DueReleaser {
	t.Helper()
	r, ok := k.queue.(outbox.DueReleaser)
	if !ok {
		t.Fatalf("%T is no outbox.DueReleaser", k.queue)
	}
	return r
}

func (k *kit) releaseDue(t *testing.T, most int) outbox.Released {
	t.Helper()
	out, err := k.releaser(t).ReleaseDue(t.Context(), most)
	if err != nil {
		t.Fatalf("ReleaseDue: %v", err)
	}
	return out
}

// releaseAll makes rows pending until so many are.
func (k *kit) releaseAll(t *testing.T, n int) {
	t.Helper()
	for limit := time.Now().Add(k.h.Patience); n > 0; {
		out := k.releaseDue(t, 2)
		n -= out.Rows
		switch {
		case time.Now().After(limit):
			t.Fatalf("%d rows were not released", n)
		case out.Rows == 0:
			k.h.Wait(t, max(out.Next, 10*time.Millisecond))
		}
	}
	if n < 0 {
		t.Fatalf("%d rows too many were released", -n)
	}
}

func (k *kit) changed(t *testing.T, what string, got outbox.Change, err error, want outbox.Change) {
	t.Helper()
	if err != nil || got != want {
		t.Fatalf("%s: %v, %v; want %v", what, got, err, want)
	}
}

func (k *kit) counted(t *testing.T, pending, scheduled int) {
	t.Helper()
	c, err := k.admin.Count(t.Context())
	if err != nil || c.Pending != pending || c.Scheduled != scheduled {
		t.Fatalf("Count: %+v, %v; want %d pending and %d scheduled", c, err, pending, scheduled)
	}
}

func schedules(t *testing.T, k *kit) {
	now := k.now(t)
	k.add(t, due(now.Add(k.h.Lease), "k", "soon")...)
	k.add(t, due(now.Add(9*365*24*time.Hour), "k", "in nine years")...)
	k.add(t, row("k", "at once"))
	k.counted(t, 1, 2)
	equal(t, "pending before it is due", k.pending(t), []string{"at once"})
	rows, err := k.admin.List(t.Context(), outbox.Filter{Status: outbox.Scheduled, IDs: []string{"soon"}}, 9)
	if err != nil || len(rows) != 1 || rows[0].After <= 0 || rows[0].After > k.h.Lease || !rows[0].At.Equal(outbox.DueTime(now.Add(k.h.Lease))) {
		t.Fatalf("List: %+v, %v; want one that is due in up to %v", rows, err, k.h.Lease)
	}
	k.releaseAll(t, 1)
	if at := k.now(t); at.Before(now.Add(k.h.Lease)) {
		t.Errorf("released at %v, %v before its time", at, now.Add(k.h.Lease).Sub(at))
	}
	k.counted(t, 2, 1)
	r := k.read(t, "soon")
	if r.After != 0 || r.Status != outbox.Pending || r.Version != rows[0].Version+1 {
		t.Errorf("released: %+v", r)
	}
	leases := k.acquire(t, "a", long)
	for _, id := range []string{"soon", "at once"} {
		k.settled(t, leases, id, outbox.Confirmed)
	}
	c, err := k.admin.Count(t.Context())
	if err != nil || c.Oldest != 0 || c.Sent != 2 {
		t.Errorf("Count: %+v, %v; want 2 sent, and none that has waited", c, err)
	}
}

// ordersByDue adds rows that are due in another order than they are added, some at the same time,
// and more of a key than are released at once.
func ordersByDue(t *testing.T, k *kit) {
	base := k.now(t).Add(k.h.Lease / 4)
	k.add(t, due(base.Add(20*time.Millisecond), "k", "5", "6")...)
	k.add(t, due(base, "k", "1", "2", "3")...)
	k.add(t, due(base.Add(10*time.Millisecond), "k", "4")...)
	k.add(t, due(base.Add(time.Hour), "k", "7")...)
	k.add(t, row("k", "0"))
	equal(t, "pending at first", k.pending(t), []string{"0"})
	k.releaseAll(t, 6)
	equal(t, "pending", k.pending(t), []string{"0", "1", "2", "3", "4", "5", "6"})
}

func schedulesThePast(t *testing.T, k *kit) {
	now := k.now(t)
	k.add(t, due(now.Add(-time.Hour), "k", "an hour ago")...)
	k.add(t, due(now, "k", "now")...)
	k.add(t, row("k", "later"))
	equal(t, "pending", k.pending(t), []string{"an hour ago", "now", "later"})
	k.counted(t, 3, 0)
}

func refusesAbsurdTimes(t *testing.T, k *kit) {
	now := k.now(t)
	if err := k.s.Refused(t, append(due(now.Add(time.Hour), "", "good"), due(now.Add(bus.MaxDelay+time.Hour), "", "bad")...)...); !errors.Is(err, bus.ErrTooFar) {
		t.Errorf("due in eleven years: %v; want ErrTooFar", err)
	}
	both := due(now.Add(time.Hour), "", "both")[0]
	both.Seq = 5
	if err := k.s.Refused(t, both); !errors.Is(err, bus.ErrInvalidEvent) {
		t.Errorf("with At and Seq: %v; want ErrInvalidEvent", err)
	}
	k.add(t, due(now.Add(time.Hour), "", "good")...)
	if _, err := k.schedules(t).Move(t.Context(), rowID("good"), now.Add(bus.MaxDelay+time.Hour)); !errors.Is(err, bus.ErrTooFar) {
		t.Errorf("moved by eleven years: %v; want ErrTooFar", err)
	}
	if _, err := k.admin.Retry(t.Context(), outbox.Filter{Status: outbox.Scheduled, Topic: topic}); err == nil {
		t.Error("scheduled rows were retried")
	}
	k.counted(t, 0, 1)
}

func rowID(id string) string { return outbox.RowID(&bus.Event{ID: id, Topic: topic}) }

func listsScheduled(t *testing.T, k *kit) {
	now := k.now(t)
	var want []string
	for i := range 7 {
		id := fmt.Sprint("k", 6-i)
		k.add(t, due(now.Add(time.Duration(7-i)*time.Hour), "x", id)...)
		want = append([]string{id}, want...)
	}
	same := due(now.Add(10*time.Hour), "y", "a", "b", "c")
	k.add(t, same...)
	k.add(t, row("x", "at once"))
	var got []string
	for after := (outbox.Row{}); ; {
		rows, err := k.schedules(t).Scheduled(t.Context(), outbox.Filter{}, after, 3)
		if err != nil || len(rows) > 3 {
			t.Fatalf("Scheduled: %d rows, %v; want 3 at most", len(rows), err)
		}
		if len(rows) == 0 {
			break
		}
		got, after = append(got, ids(rows)...), rows[len(rows)-1]
	}
	equal(t, "scheduled", got, append(want, "a", "b", "c"))
	rows, err := k.schedules(t).Scheduled(t.Context(), outbox.Filter{Key: "y"}, outbox.Row{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "scheduled of a key", ids(rows), []string{"a", "b"})
	equal(t, "listed of a key", k.list(t, outbox.Filter{Key: "y"}), []string{"a", "b", "c"})
}

func cancels(t *testing.T, k *kit) {
	at := k.now(t).Add(k.h.Lease / 4)
	k.add(t, due(at, "k", "a", "b", "c")...)
	got, err := k.schedules(t).Cancel(t.Context(), rowID("b"))
	k.changed(t, "Cancel", got, err, outbox.Changed)
	for _, id := range []string{"b", "never added"} {
		got, err = k.schedules(t).Cancel(t.Context(), rowID(id))
		k.changed(t, "Cancel of "+id, got, err, outbox.NotFound)
	}
	k.releaseAll(t, 2)
	equal(t, "pending", k.pending(t), []string{"a", "c"})
	leases := k.acquire(t, "a", long)
	k.settled(t, leases, "a", outbox.Confirmed)
	for _, id := range []string{"a", "c"} { // sent, and pending
		got, err = k.schedules(t).Cancel(t.Context(), rowID(id))
		k.changed(t, "Cancel of "+id, got, err, outbox.TooLate)
		got, err = k.schedules(t).Move(t.Context(), rowID(id), at.Add(time.Hour))
		k.changed(t, "Move of "+id, got, err, outbox.TooLate)
	}
	k.add(t, due(at.Add(time.Hour), "k", "b")...)
	k.counted(t, 1, 1)
	k.add(t, outbox.In(time.Hour, row("k", "in an hour").Event)...)
	rows, err := k.schedules(t).Scheduled(t.Context(), outbox.Filter{IDs: []string{"in an hour"}}, outbox.Row{}, 1)
	if now := k.now(t); err != nil || len(rows) != 1 || rows[0].At.Before(at.Add(time.Hour-k.h.Lease/4)) || rows[0].At.After(now.Add(time.Hour+time.Second)) {
		t.Errorf("added to be due in an hour: %+v, %v", rows, err)
	}
	n, err := k.admin.Drop(t.Context(), outbox.Filter{Topic: topic, Status: outbox.Scheduled})
	k.did(t, "Drop of what is scheduled", n, err, 2)
	k.counted(t, 1, 0)
}

func moves(t *testing.T, k *kit) {
	now := k.now(t)
	k.add(t, due(now.Add(time.Hour), "k", "a", "b", "c")...)
	for id, to := range map[string]time.Time{"a": now.Add(3 * time.Hour), "b": now.Add(2 * time.Hour), "c": now.Add(-time.Hour)} {
		got, err := k.schedules(t).Move(t.Context(), rowID(id), to)
		k.changed(t, "Move of "+id, got, err, outbox.Changed)
	}
	got, err := k.schedules(t).Move(t.Context(), rowID("never added"), now)
	k.changed(t, "Move of none", got, err, outbox.NotFound)
	rows, err := k.schedules(t).Scheduled(t.Context(), outbox.Filter{}, outbox.Row{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "scheduled", ids(rows), []string{"c", "b", "a"})
	k.releaseAll(t, 1)
	equal(t, "pending", k.pending(t), []string{"c"})
}

// cancelsWhileReleased cancels rows while two others release them.
func cancelsWhileReleased(t *testing.T, k *kit) {
	const n = 60
	at := k.now(t).Add(k.h.Lease / 4)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%03d", i)
	}
	k.add(t, due(at, "", names...)...)
	s, r := k.schedules(t), k.releaser(t)
	k.h.Wait(t, k.h.Lease/4)
	answers := make([]outbox.Change, n)
	var racing sync.WaitGroup
	for range 2 {
		racing.Go(func() {
			for range n {
				if _, err := r.ReleaseDue(t.Context(), 3); err != nil {
					t.Errorf("ReleaseDue: %v", err)
				}
			}
		})
	}
	for i := range 4 {
		racing.Go(func() {
			for at := n - 1 - i; at >= 0; at -= 4 {
				var err error
				if answers[at], err = s.Cancel(t.Context(), rowID(names[at])); err != nil {
					t.Errorf("Cancel: %v", err)
				}
			}
		})
	}
	racing.Wait()
	there := map[string]bool{}
	for _, id := range k.pending(t) {
		there[id] = true
	}
	for i, id := range names {
		if want := map[bool]outbox.Change{true: outbox.TooLate, false: outbox.Changed}[there[id]]; answers[i] != want {
			t.Errorf("row %s, pending: %t, and Cancel said %v", id, there[id], answers[i])
		}
	}
	k.counted(t, len(there), 0)
}

func countsDue(t *testing.T, k *kit) {
	counter, ok := k.queue.(outbox.BacklogCounter)
	if !ok {
		t.Skip("the queue is no outbox.BacklogCounter")
	}
	now := k.now(t)
	k.add(t, due(now.Add(time.Hour), "", "c", "d", "e")...)
	k.add(t, due(now.Add(k.h.Lease/4), "", "a", "b")...)
	b, err := counter.CountBacklog(t.Context(), 10)
	wasDue := k.now(t).Sub(now) >= k.h.Lease/4 // on a machine that is busy with something else
	if err != nil || b != (outbox.Backlog{Scheduled: 5}) && !wasDue {
		t.Fatalf("CountBacklog: %+v, %v; want 5 scheduled, and no backlog", b, err)
	}
	k.h.Wait(t, k.h.Lease/4+100*time.Millisecond)
	check := func(when string) {
		t.Helper()
		b, err := counter.CountBacklog(t.Context(), 10)
		waited := k.now(t).Sub(now)
		if err != nil || b.Pending != 2 || b.Scheduled != 3 || b.Oldest <= 0 || b.Oldest > waited-k.h.Lease/4+50*time.Millisecond {
			t.Fatalf("CountBacklog, %s: %+v, %v; want 2 pending, due since %v ago, and 3 scheduled", when, b, err, waited-k.h.Lease/4)
		}
	}
	check("before a drainer looks")
	k.releaseAll(t, 2)
	check("when a drainer has looked")
}

func releasesSkewed(t *testing.T, k *kit) {
	now := k.now(t)
	k.add(t, due(now.Add(time.Minute), "", "in a minute")...)
	skews := []time.Duration{5 * time.Minute, -5 * time.Minute}
	for _, skew := range skews {
		other := *k
		other.queue = k.s.Skewed(t, skew)
		if out := other.releaseDue(t, 10); out.Rows != 0 || out.Next > time.Minute {
			t.Fatalf("skewed by %v: %+v; want nothing", skew, out)
		}
	}
	for _, skew := range skews {
		other := *k
		other.queue = k.s.Skewed(t, skew)
		id := fmt.Sprint("moved by ", skew)
		k.add(t, due(now.Add(time.Hour), "", id)...)
		got, err := other.schedules(t).Move(t.Context(), rowID(id), now.Add(k.h.Lease/2))
		k.changed(t, "Move", got, err, outbox.Changed)
	}
	other := *k
	other.queue = k.s.Skewed(t, -5*time.Minute)
	other.releaseAll(t, 2)
	if at := k.now(t); at.Before(now.Add(k.h.Lease / 2)) {
		t.Errorf("released at %v, before their time", at)
	}
	k.counted(t, 2, 1)
}

// faultsOfSchedules makes each call to the driver fail, before it was done and after.
func faultsOfSchedules(t *testing.T, k *kit) {
	for _, applied := range []bool{false, true} {
		for n := range 3 {
			now := k.now(t)
			k.add(t, due(now.Add(time.Hour), "k", "cancelled", "moved")...)
			got, err := repeated(k, n, applied, func() (outbox.Change, error) { return k.schedules(t).Cancel(t.Context(), rowID("cancelled")) })
			if err != nil || got == outbox.TooLate {
				t.Fatalf("Cancel: %v, %v", got, err)
			}
			got, err = repeated(k, n, applied, func() (outbox.Change, error) {
				return k.schedules(t).Move(t.Context(), rowID("moved"), now)
			})
			k.changed(t, "Move", got, err, outbox.Changed)
			k.h.Wait(t, 20*time.Millisecond)
			if _, err := repeated(k, n, applied, func() (outbox.Released, error) {
				return k.releaser(t).ReleaseDue(t.Context(), 10)
			}); err != nil {
				t.Fatalf("ReleaseDue: %v", err)
			}
			equal(t, "pending", k.pending(t), []string{"moved"})
			k.counted(t, 1, 0)
			dropped, err := k.admin.Drop(t.Context(), outbox.Filter{Topic: topic, Status: outbox.Pending})
			k.did(t, "Drop", dropped, err, 1)
		}
	}
}
