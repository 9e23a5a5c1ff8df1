package outboxtest

import (
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/outbox"
)

func settling() []promise {
	return []promise{
		{name: "Settle/what was confirmed is sent, also when it is said again", keeps: confirms},
		{name: "Settle/a refusal counts an attempt once and waits for its backoff", keeps: refuses},
		{name: "Settle/what was given up is dead and holds back its key alone", keeps: givesUp},
		{name: "Settle/answers are parallel to what was asked", keeps: mixed},
		{name: "Settle/a lease that is over is fenced", keeps: fencedByTime},
		{name: "Settle/a former owner is fenced", keeps: fencedByOwner},
		{name: "Settle/a row that has changed is fenced", keeps: fencedByVersion},
		{name: "Settle/a long reason is cut", keeps: cutsReason},
	}
}

func confirms(t *testing.T, k *kit) {
	k.add(t, rowsOf("k", 3)...)
	leases := k.acquire(t, "a", long)
	r := result(t, leases, k.read(t, "k-000001"), outbox.Confirmed)
	for range 3 {
		equal(t, "settled", k.settle(t, r), []bool{true})
		equal(t, "pending", k.pending(t), []string{"k-000002", "k-000003"})
	}
	leases = k.acquire(t, "a", long) // renewed: the lease has another end
	r.Lease = holding(t, leases, k.read(t, "k-000002"))
	equal(t, "settled under the renewed lease", k.settle(t, r), []bool{true})
}

func refuses(t *testing.T, k *kit) {
	k.add(t, row("k", "a"), row("k", "b"))
	leases := k.acquire(t, "a", long)
	r := result(t, leases, k.read(t, "a"), outbox.Refused)
	for range 3 {
		equal(t, "settled", k.settle(t, r), []bool{true})
	}
	got := k.read(t, "a")
	if got.Attempts != 1 || got.Reason != r.Reason || got.After <= 0 || got.After > r.After || got.Version != r.Version+1 {
		t.Errorf("after a refusal that was told thrice: %+v", got)
	}
	equal(t, "pending, due or not", k.pending(t), []string{"a", "b"})
	short := result(t, leases, k.read(t, "b"), outbox.Refused)
	short.After = k.h.Lease
	equal(t, "settled", k.settle(t, short), []bool{true})
	k.h.Wait(t, k.h.Lease+k.h.Lease/4)
	if got = k.read(t, "b"); got.After != 0 {
		t.Errorf("not due %v after its backoff", got.After)
	}
	k.settled(t, leases, "a", outbox.Refused)
	if got = k.read(t, "a"); got.Attempts != 2 {
		t.Errorf("%d attempts; want 2", got.Attempts)
	}
}

func givesUp(t *testing.T, k *kit) {
	k.add(t, rowsOf("k", 4)...)
	k.add(t, row("other", "other"), row("", "none"), row("", "dead"))
	leases := k.acquire(t, "a", long)
	k.settled(t, leases, "dead", outbox.GivenUp)
	r := result(t, leases, k.read(t, "k-000002"), outbox.GivenUp)
	for range 3 {
		equal(t, "given up", k.settle(t, r), []bool{true})
	}
	want := byHash(row("k", "k-000001"), row("other", "other"), row("", "none"))
	equal(t, "pending", k.pending(t), want)
	want = byHash(append(rowsOf("k", 1), row("k", "k-000003"), row("k", "k-000004"), row("other", "other"), row("", "none"))...)
	equal(t, "pending past the dead", ids(k.walk(t, outbox.Ask{PastDead: true})), want)
	for _, n := range []int{1, 2} { // also on small pages, and when the key is asked for alone
		got := ids(k.walk(t, outbox.Ask{From: outbox.Hash("k", ""), To: outbox.Hash("k", ""), Rows: n}))
		equal(t, "pending of the key", got, []string{"k-000001"})
	}
}

func mixed(t *testing.T, k *kit) {
	k.add(t, rowsOf("x", 2)...)
	k.add(t, rowsOf("y", 2)...)
	k.add(t, rowsOf("", 2)...)
	leases := k.acquire(t, "a", long)
	stale := result(t, leases, k.read(t, "y-000001"), outbox.Confirmed)
	stale.Version += 5
	missing := stale
	missing.ID = "nobody orders.new"
	got := k.settle(t,
		result(t, leases, k.read(t, "x-000001"), outbox.Confirmed), stale, result(t, leases, k.read(t, "-000001"), outbox.Refused),
		missing, result(t, leases, k.read(t, "-000002"), outbox.GivenUp), result(t, leases, k.read(t, "y-000002"), outbox.Confirmed))
	equal(t, "settled", got, []bool{true, false, true, false, true, true})
	equal(t, "pending", k.pending(t), byHash(row("x", "x-000002"), row("y", "y-000001"), row("", "-000001")))
	if got := k.settle(t); len(got) != 0 {
		t.Errorf("Settle of nothing: %v", got)
	}
}

func fencedByTime(t *testing.T, k *kit) {
	k.add(t, rowsOf("k", 3)...)
	leases := k.acquire(t, "a", k.h.Lease)
	rs := []outbox.Result{
		result(t, leases, k.read(t, "k-000001"), outbox.Confirmed), result(t, leases, k.read(t, "k-000002"), outbox.Refused),
		result(t, leases, k.read(t, "k-000003"), outbox.GivenUp),
	}
	k.h.Wait(t, k.h.Lease+k.h.Lease/4)
	equal(t, "settled after the lease", k.settle(t, rs...), []bool{false, false, false})
	k.untouched(t, 3)
	leases = k.acquire(t, "a", long)
	for i := range rs {
		rs[i].Lease = leases[rs[i].Lease.Partition]
	}
	equal(t, "settled under a lease renewed late", k.settle(t, rs...), []bool{true, true, true})
}

func fencedByOwner(t *testing.T, k *kit) {
	k.add(t, rowsOf("k", 3)...)
	leases := k.acquire(t, "a", k.h.Lease)
	first := k.read(t, "k-000001")
	rs := []outbox.Result{
		result(t, leases, first, outbox.Confirmed), result(t, leases, k.read(t, "k-000002"), outbox.Refused),
		result(t, leases, k.read(t, "k-000003"), outbox.GivenUp),
	}
	k.h.Wait(t, k.h.Lease+k.h.Lease/4)
	others := k.acquire(t, "b", long)
	equal(t, "settled by the former owner", k.settle(t, rs...), []bool{false, false, false})
	k.untouched(t, 3)
	equal(t, "settled by its successor", k.settle(t, result(t, others, first, outbox.Confirmed)), []bool{true})
}

// untouched checks that no row of the key k was changed.
func (k *kit) untouched(t *testing.T, n int) {
	t.Helper()
	equal(t, "pending", k.pending(t), ids(rowsOf("k", n)))
	for _, r := range k.walk(t, outbox.Ask{}) {
		if r.Attempts != 0 || r.After != 0 || r.Reason != "" {
			t.Errorf("a fenced settlement has changed %+v", r)
		}
	}
}

func fencedByVersion(t *testing.T, k *kit) {
	k.add(t, row("k", "a"))
	leases := k.acquire(t, "a", long)
	old := k.read(t, "a")
	k.settled(t, leases, "a", outbox.Refused)
	k.settled(t, leases, "a", outbox.Refused)
	for _, o := range []outbox.Outcome{outbox.Confirmed, outbox.Refused, outbox.GivenUp} {
		equal(t, o.String(), k.settle(t, result(t, leases, old, o)), []bool{false})
	}
	if r := k.read(t, "a"); r.Attempts != 2 {
		t.Errorf("%d attempts; want 2", r.Attempts)
	}
}

func cutsReason(t *testing.T, k *kit) {
	k.add(t, row("k", "a"))
	leases := k.acquire(t, "a", long)
	r := result(t, leases, k.read(t, "a"), outbox.Refused)
	r.Reason = strings.Repeat("ü", outbox.MaxReason)
	k.settle(t, r)
	if got := k.read(t, "a").Reason; len(got) > outbox.MaxReason || len(got) < outbox.MaxReason-4 || strings.Trim(got, "ü") != "" {
		t.Errorf("a reason of %d bytes, beginning %.20q", len(got), got)
	}
}

// hooked are cases that need what only some surroundings can do.
func hooked(able *kit) []promise {
	return []promise{
		{name: "Late/what commits late is found", keeps: late, unless: able.s.Late == nil},
		{name: "Skew/five minutes do no harm", keeps: skewed, unless: able.s.Skewed == nil},
		{name: "Fault/every call can be repeated", keeps: faults, unless: able.s.Fault == nil},
	}
}

func late(t *testing.T, k *kit) {
	commit := k.s.Late(t, row("k", "early"))
	k.add(t, row("k", "later"))
	leases := k.acquire(t, "a", long)
	equal(t, "pending", k.pending(t), []string{"later"})
	k.settled(t, leases, "later", outbox.Confirmed)
	commit(t)
	equal(t, "pending after the commit", k.pending(t), []string{"early"})
}

func skewed(t *testing.T, k *kit) {
	k.add(t, row("k", "a"), row("k", "b"))
	for _, skew := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		other := *k
		other.queue = k.s.Skewed(t, skew)
		k.acquire(t, "a", long)
		if got := other.acquire(t, "b", long); len(got) != 0 {
			t.Fatalf("skewed by %v, b took %v while a has them", skew, numbers(got, true))
		}
		other.release(t, "b") // it leaves, and asks again later
		mine := k.acquire(t, "a", k.h.Lease)
		k.h.Wait(t, k.h.Lease+k.h.Lease/4)
		got := other.acquire(t, "b", long)
		covers(t, got...)
		if got[0].Left < long*9/10 || got[0].Left > long {
			t.Errorf("skewed by %v, %v is left of a lease of %v", skew, got[0].Left, long)
		}
		stale := result(t, mine, k.read(t, "a"), outbox.Confirmed)
		equal(t, "settled by the former owner", k.settle(t, stale), []bool{false})
		r := result(t, got, k.read(t, "a"), outbox.Refused)
		r.After = long
		equal(t, "settled", other.settle(t, r), []bool{true})
		if after := k.read(t, "a").After; after < long*9/10 || after > long {
			t.Errorf("skewed by %v, a backoff of %v has %v left", skew, long, after)
		}
		other.release(t, "b", got...)
	}
}

// faults makes each call to the driver fail, before it was done and after.
func faults(t *testing.T, k *kit) {
	for _, applied := range []bool{false, true} {
		for n := range 6 {
			k.add(t, rowsOf("k", 3)...)
			leases, err := repeated(k, n, applied, func() ([]outbox.Lease, error) { return k.queue.Acquire(t.Context(), "a", long) })
			if err != nil {
				t.Fatalf("Acquire: %v", err)
			}
			covers(t, leases...)
			rs := []outbox.Result{
				result(t, leases, k.read(t, "k-000001"), outbox.Confirmed), result(t, leases, k.read(t, "k-000002"), outbox.Refused),
				result(t, leases, k.read(t, "k-000003"), outbox.GivenUp),
			}
			oks, err := repeated(k, n, applied, func() ([]bool, error) { return k.queue.Settle(t.Context(), rs) })
			if err != nil {
				t.Fatalf("Settle: %v", err)
			}
			equal(t, "settled", oks, []bool{true, true, true})
			if r := k.read(t, "k-000002"); r.Attempts != 1 {
				t.Fatalf("%d attempts; want 1", r.Attempts)
			}
			_, err = repeated(k, n, applied, func() (int, error) { return 0, k.queue.Release(t.Context(), "a", leases) })
			if err != nil {
				t.Fatalf("Release: %v", err)
			}
			again := newKit(t, k.h) // with an empty outbox
			*k = *again
		}
	}
}

// repeated makes a call with a fault, and makes it again if it fails.
func repeated[T any](k *kit, n int, applied bool, call func() (T, error)) (T, error) {
	fired := k.s.Fault(n, applied)
	out, err := call()
	if fired() && err != nil {
		out, err = call()
	}
	return out, err
}
