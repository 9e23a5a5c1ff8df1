package outboxtest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/outbox"
)

func leasing() []promise {
	return []promise{
		{name: "Acquire/one owner has all hashes", keeps: hasAll},
		{name: "Acquire/renewing keeps the token and prolongs the lease", keeps: renews},
		{name: "Acquire/a second owner gets its share once that is given back", keeps: shares},
		{name: "Acquire/what a dead owner had is taken within a lease", keeps: takesOver},
		{name: "Acquire/an owner that left does not count", keeps: leaves},
		{name: "Acquire/more owners than partitions", keeps: crowd},
		{name: "Acquire/owners that ask at once have nothing in common", keeps: stampede},
		{name: "Release/touches no lease that was renewed since", keeps: releasesNoOther},
	}
}

// numbers of partitions, sorted; only those that do not end, or all.
func numbers(leases []outbox.Lease, ending bool) []int {
	var out []int
	for _, l := range leases {
		if ending || !l.Ending {
			out = append(out, l.Partition)
		}
	}
	slices.Sort(out)
	return out
}

// covers checks that leases are of all hashes, without overlap.
func covers(t *testing.T, leases ...outbox.Lease) {
	t.Helper()
	slices.SortFunc(leases, func(a, b outbox.Lease) int { return a.Partition - b.Partition })
	next := uint64(0)
	for i, l := range leases {
		if l.Partition != i || l.First != next || l.Last < l.First {
			t.Fatalf("lease %d is of partition %d, hashes %#x to %#x; want them from %#x", i, l.Partition, l.First, l.Last, next)
		}
		next = l.Last + 1
	}
	if len(leases) != Partitions || next != outbox.MaxHash+1 {
		t.Fatalf("%d leases, up to %#x; want %d, up to %#x", len(leases), next-1, Partitions, uint64(outbox.MaxHash))
	}
}

func hasAll(t *testing.T, k *kit) {
	leases := k.acquire(t, "a", long)
	covers(t, leases...)
	for _, l := range leases {
		if l.Left <= 0 || l.Left > long || l.Ending || l.Token == 0 {
			t.Errorf("lease %+v", l)
		}
	}
	covers(t, k.acquire(t, "a", long)...)
}

func renews(t *testing.T, k *kit) {
	before := k.acquire(t, "a", k.h.Lease)
	k.h.Wait(t, k.h.Lease/2)
	after := k.acquire(t, "a", k.h.Lease)
	covers(t, after...)
	for i, l := range after {
		if l.Token != before[i].Token || !l.Until.After(before[i].Until) || l.Left < k.h.Lease*3/4 {
			t.Errorf("lease %+v, renewed: %+v", before[i], l)
		}
	}
	k.h.Wait(t, k.h.Lease*3/2) // over, and nobody has taken it
	for i, l := range k.acquire(t, "a", k.h.Lease) {
		if l.Token != after[i].Token {
			t.Errorf("partition %d has token %d after %d, and nobody else had it", l.Partition, l.Token, after[i].Token)
		}
	}
}

func shares(t *testing.T, k *kit) {
	first := k.acquire(t, "a", long)
	if b := k.acquire(t, "b", long); len(b) != 0 {
		t.Fatalf("b got %v, and a has them", numbers(b, true))
	}
	k.h.Wait(t, 10*time.Millisecond)
	a := k.acquire(t, "a", long)
	covers(t, slices.Clone(a)...)
	var ending []outbox.Lease
	for _, l := range a {
		if l.Ending {
			ending = append(ending, l)
		}
	}
	if len(ending) != Partitions/2 {
		t.Fatalf("%d of %d leases end; want half", len(ending), len(a))
	}
	for _, l := range ending {
		if !l.Until.Equal(first[l.Partition].Until) {
			t.Errorf("partition %d ends, and was renewed", l.Partition)
		}
	}
	if b := k.acquire(t, "b", long); len(b) != 0 {
		t.Fatalf("b got %v before they were given back", numbers(b, true))
	}
	k.release(t, "a", ending...)
	b := k.acquire(t, "b", long)
	equal(t, "b has", numbers(b, false), numbers(ending, true))
	for _, l := range b {
		if l.Token <= first[l.Partition].Token {
			t.Errorf("partition %d changed its owner, and its token from %d to %d", l.Partition, first[l.Partition].Token, l.Token)
		}
	}
	covers(t, append(k.acquire(t, "a", long), b...)...)
}

func takesOver(t *testing.T, k *kit) {
	k.acquire(t, "dead", long)
	if got := k.acquire(t, "b", long); len(got) != 0 {
		t.Fatalf("b got %v while the other's lease runs", numbers(got, true))
	}
	k.release(t, "b") // it leaves, and asks again later
	k.acquire(t, "dead", k.h.Lease)
	k.h.Wait(t, k.h.Lease+k.h.Lease/4)
	covers(t, k.acquire(t, "b", long)...)
}

func leaves(t *testing.T, k *kit) {
	k.acquire(t, "a", long)
	k.acquire(t, "b", long)
	k.release(t, "b") // it has none, and leaves
	for _, l := range k.acquire(t, "a", long) {
		if l.Ending {
			t.Errorf("partition %d ends for an owner that has left", l.Partition)
		}
	}
	k.acquire(t, "b", long)
	k.release(t, "a", k.acquire(t, "a", long)...)
	covers(t, k.acquire(t, "b", long)...)
}

func crowd(t *testing.T, k *kit) {
	held := map[string][]outbox.Lease{}
	owner := func(i int) string { return fmt.Sprint("owner", i) }
	for range 3 {
		for i := range Partitions + 3 {
			held[owner(i)] = k.acquire(t, owner(i), long)
			var ending []outbox.Lease
			for _, l := range held[owner(i)] {
				if l.Ending {
					ending = append(ending, l)
				}
			}
			if len(ending) > 0 {
				k.release(t, owner(i), ending...)
			}
		}
	}
	var all []outbox.Lease
	for i := range Partitions + 3 {
		got := k.acquire(t, owner(i), long)
		if len(got) > 1 {
			t.Errorf("%s has %v; want at most one", owner(i), numbers(got, true))
		}
		all = append(all, got...)
	}
	covers(t, all...)
}

func stampede(t *testing.T, k *kit) {
	var mu sync.Mutex
	var all []outbox.Lease
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			leases, err := k.queue.Acquire(t.Context(), fmt.Sprint("owner", i), long)
			if err != nil {
				t.Errorf("Acquire: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, leases...)
		})
	}
	wg.Wait()
	got := numbers(all, true)
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("a partition was given to two: %v", got)
	}
}

func releasesNoOther(t *testing.T, k *kit) {
	old := k.acquire(t, "a", k.h.Lease)
	k.h.Wait(t, 10*time.Millisecond)
	now := k.acquire(t, "a", long)
	k.release(t, "a", old...) // it was delayed, and overtaken
	k.release(t, "b", now...) // not his
	if b := k.acquire(t, "b", long); len(b) != 0 {
		t.Errorf("b got %v, which a has renewed", numbers(b, true))
	}
}
