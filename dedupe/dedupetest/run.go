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
	var able *kit
	h.Run(t, func(t *testing.T) { able = newKit(t, &h, h.New) })
	for _, c := range cases(able) {
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
	if h.Bounded == nil {
		return
	}
	var able *kit
	h.Run(t, func(t *testing.T) { able = newKit(t, h, h.Bounded) })
	if able.claimer != nil {
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

func cases(able *kit) []testcase {
	all := append(storeCases(), hostileCases(able)...)
	all = append(all, repeatCases(able)...)
	if able.claimer != nil {
		all = append(all, claimCases()...)
		all = append(all, raceCases()...)
		all = append(all, settleCases()...)
		all = append(all, absentCases()...)
		all = append(all, deadLetteringCases()...)
		all = append(all, attemptCases()...)
		all = append(all, expiryCases()...)
		all = append(all, testcase{"Model/random walks", walks}, testcase{"Model/concurrent history", history})
	}
	if reopens(able) {
		all = append(all, reopenCases()...)
	}
	if claims(able) && able.inspector != nil {
		all = append(all, inspectCases(able)...)
	}
	if notes(able) {
		all = append(all, noteCases(able)...)
	}
	if watermarks(able) {
		all = append(all, watermarkCases()...)
	}
	if claims(able) && watermarks(able) && able.remover != nil {
		all = append(all, testcase{"Group/is removed whole, and no other", removesGroup})
	}
	return append(all, hookedCases(able)...)
}

// hookedCases need what only some surroundings can do.
func hookedCases(able *kit) []testcase {
	var all []testcase
	if able.s.Fault != nil {
		all = append(all, faultCases(able)...)
	}
	if able.s.Partial != nil {
		all = append(all, partialCases(able)...)
	}
	if able.s.Skewed != nil {
		all = append(all, skewCases(able)...)
	}
	if able.s.Refuse != nil {
		all = append(all, refuseCases(able)...)
	}
	return all
}

// newKit makes a store, and finds its abilities.
func newKit(t *testing.T, h *Harness, open func(t *testing.T) Subject) *kit {
	t.Helper()
	k := &kit{h: h, s: open(t)}
	k.bind()
	return k
}

// bind finds what the store is able to do; nil: it is not.
func (k *kit) bind() {
	k.store = k.s.Store
	k.claimer, _ = k.store.(dedupe.Claimer)
	k.reopener, _ = k.store.(dedupe.Reopener)
	k.noter, _ = k.store.(dedupe.Noter)
	k.inspector, _ = k.store.(dedupe.Inspector)
	k.watermarker, _ = k.store.(dedupe.Watermarker)
	k.remover, _ = k.store.(dedupe.GroupRemover)
}
