package protocol

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/onceish/onceish/dedupe"
)

// TestLongReasonIsCutBetweenCharacters: a store may refuse what is no UTF-8.
func TestLongReasonIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	for shift := range 3 {
		r := newRig(t, nil)
		r.give(arrival("a", 1))
		r.claims(nil)
		r.Ran(r.now, r.mustRun("a"), Verdict{Kind: Permanent, Error: strings.Repeat("x", shift) + strings.Repeat("€", dedupe.MaxReason)})
		if s := r.settleOne(dedupe.GivenUp); len(s.Reason) > dedupe.MaxReason || len(s.Reason) < dedupe.MaxReason-3 || !utf8.ValidString(s.Reason) {
			t.Errorf("the reason has %d bytes, valid UTF-8: %t", len(s.Reason), utf8.ValidString(s.Reason))
		}
	}
}
