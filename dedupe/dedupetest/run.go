package dedupetest

import (
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
)

// maxLease leaves what is to last long enough many waits for what is not.
const maxLease = 3 * time.Second

// Run holds a store to its contract.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("dedupetest: Harness.New is nil: it has to make the store")
	}
	h = h.withDefaults()
	if h.Lease < 0 || h.Lease > maxLease {
		t.Fatalf("dedupetest: Harness.Lease is %v: it must be from 0 (%v) to %v", h.Lease, time.Second, maxLease)
	}
	if h.TTL < 2*h.Lease {
		t.Fatalf("dedupetest: Harness.TTL is %v: it must be at least twice Harness.Lease, %v", h.TTL, h.Lease)
	}
	var able Subject
	h.Run(t, func(t *testing.T) { able = newKit(t, &h, h.New).s })
	for _, c := range cases(&h, &able) {
		run(t, &h, c, h.New)
	}
	runFull(t, &h)
}

// RunFull runs only the cases of a store at its bound: for one that can be bounded in more
// than one way.
func RunFull(t *testing.T, h Harness) {
	t.Helper()
	h = h.withDefaults()
	runFull(t, &h)
}

func runFull(t *testing.T, h *Harness) {
	t.Helper()
	if h.Bounded != nil && h.Claimer {
		run(t, h, testcase{"Full/refuses rather than forgets", full}, h.Bounded)
		run(t, h, testcase{"Full/what is held can be renewed and ended", fullEnds}, h.Bounded)
	}
}

func run(t *testing.T, h *Harness, c testcase, open func(t *testing.T) Subject) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		t.Parallel()
		h.Run(t, func(t *testing.T) { c.run(t, newKit(t, h, open)) })
	})
}

// testcase is one promise.
type testcase struct {
	name string
	run  func(t *testing.T, k *kit)
}

func cases(h *Harness, able *Subject) []testcase {
	all := append(storeCases(), hostileCases(h)...)
	all = append(all, repeatCases(h)...)
	if h.Claimer {
		all = append(all, claimCases()...)
		all = append(all, raceCases()...)
		all = append(all, settleCases()...)
		all = append(all, absentCases()...)
		all = append(all, deadLetteringCases()...)
		all = append(all, expiryCases()...)
		all = append(all, testcase{"Model/random walks", walks}, testcase{"Model/concurrent history", history})
	}
	if h.Claimer && h.Reopener {
		all = append(all, reopenCases()...)
	}
	if h.Watermarker {
		all = append(all, watermarkCases()...)
	}
	if h.Claimer && h.Watermarker && h.GroupRemover {
		all = append(all, testcase{"Group/is removed whole, and no other", removesGroup})
	}
	return append(all, hookedCases(h, able)...)
}

// hookedCases need what only some surroundings can do.
func hookedCases(h *Harness, able *Subject) []testcase {
	var all []testcase
	if able.Fault != nil {
		all = append(all, faultCases(h)...)
	}
	if able.Partial != nil {
		all = append(all, partialCases(h)...)
	}
	if able.Skewed != nil {
		all = append(all, skewCases(h)...)
	}
	if able.Refuse != nil {
		all = append(all, refuseCases(h)...)
	}
	return all
}

// newKit checks that the store is what the harness says.
func newKit(t *testing.T, h *Harness, open func(t *testing.T) Subject) *kit {
	t.Helper()
	k := &kit{h: h, s: open(t)}
	k.bind(t)
	return k
}

func (k *kit) bind(t *testing.T) {
	t.Helper()
	k.store = k.s.Store
	var claims, reopens, watermarks, removes bool
	k.claimer, claims = k.store.(dedupe.Claimer)
	k.reopener, reopens = k.store.(dedupe.Reopener)
	k.watermarker, watermarks = k.store.(dedupe.Watermarker)
	k.remover, removes = k.store.(dedupe.GroupRemover)
	agree(t, "GroupRemover", removes, k.h.GroupRemover)
	agree(t, "Claimer", claims, k.h.Claimer)
	agree(t, "Reopener", reopens, k.h.Reopener)
	agree(t, "Watermarker", watermarks, k.h.Watermarker)
}

func agree(t *testing.T, ability string, has, said bool) {
	t.Helper()
	if has != said {
		t.Fatalf("the store is a %s: %t; Harness.%s: %t", ability, has, ability, said)
	}
}
