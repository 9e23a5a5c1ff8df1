package dedupetest

import (
	"testing"

	"github.com/onceish/onceish/dedupe"
)

// TestHistoryAllowsHeldUnseen: a store that could not see the holder answers Held, whatever the row
// is, and the row stays as it was. What says more must be right.
func TestHistoryAllowsHeldUnseen(t *testing.T) {
	t.Parallel()
	ask := call{claim: &asked{nonce: "n", hash: "h"}}
	for _, r := range []row{{}, {place: claimed, owner: "other", token: 7, hash: "h"}, {place: done, owner: "other", token: 7, hash: "h"}} {
		if next := step(r, ask, answer{told: told{state: dedupe.Held}}); len(next) != 1 || next[0] != r {
			t.Errorf("%+v: %+v, want it unchanged", r, next)
		}
		if next := step(r, ask, answer{told: told{state: dedupe.Held, token: 7, hash: "another"}}); len(next) != 0 {
			t.Errorf("%+v: %+v, want an answer about another payload refused", r, next)
		}
	}
}
