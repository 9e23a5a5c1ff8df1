package dedupetest

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// Run holds a store to its contract.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("dedupetest: Harness.New is nil: it has to make the store")
	}
	h = h.withDefaults()
	if h.TTL < 2*h.Lease {
		t.Fatalf("dedupetest: Harness.TTL is %v: it must be at least twice Harness.Lease, %v", h.TTL, h.Lease)
	}
	for _, c := range cases(&h) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h.Run(t, func(t *testing.T) { c.run(t, newKit(t, &h)) })
		})
	}
}

// testcase is one promise.
type testcase struct {
	name string
	run  func(t *testing.T, k *kit)
}

func cases(h *Harness) []testcase {
	all := storeCases()
	all = append(all, hostileCases()...)
	if h.Claimer {
		all = append(all, claimCases()...)
		all = append(all, raceCases()...)
		all = append(all, settleCases()...)
		all = append(all, dyingCases()...)
		all = append(all, expiryCases()...)
	}
	if h.Claimer && h.Reopener {
		all = append(all, reopenCases()...)
	}
	if h.Watermarker {
		all = append(all, watermarkCases()...)
	}
	return all
}

// newKit checks that the store is what the harness says.
func newKit(t *testing.T, h *Harness) *kit {
	t.Helper()
	k := &kit{h: h, s: h.New(t)}
	k.bind(t)
	return k
}

func (k *kit) bind(t *testing.T) {
	t.Helper()
	k.store = k.s.Store
	var claims, reopens, watermarks bool
	k.claimer, claims = k.store.(dedupe.Claimer)
	k.reopener, reopens = k.store.(dedupe.Reopener)
	k.watermarker, watermarks = k.store.(dedupe.Watermarker)
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
