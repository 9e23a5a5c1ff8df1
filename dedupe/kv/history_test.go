package kv

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestSuccessHasNoHistory: rows of what succeeds at once have the fields that they had before there
// were histories, in the claim and in the mark.
func TestSuccessHasNoHistory(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, nil).Connect(t)
	s := newStore(t, nc, nil)
	c := claimOne(t, s, "a", "n1")
	fields := func(want ...string) {
		t.Helper()
		msgs, err := s.readMessages(t.Context(), []string{eventKey(c.Key)})
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(msgs[0].data, &value); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(value)); !slices.Equal(got, want) {
			t.Errorf("the row has the fields %v, want %v", got, want)
		}
	}
	fields("hash", "owner", "span", "state", "ttl", "v")
	if c.History != nil {
		t.Errorf("a fresh claim has the history %v", c.History)
	}
	if !settleOne(t, s, c, dedupe.Succeeded) {
		t.Fatal("superseded")
	}
	fields("hash", "owner", "since", "state", "token", "ttl", "v")
}

// TestHistoryRefusesNoRow: a row whose history cannot be read, and one of before there was any, are
// rows all the same.
func TestHistoryRefusesNoRow(t *testing.T) {
	t.Parallel()
	for _, history := range []string{``, `,"history":null`, `,"history":[]`, `,"history":7`, `,"history":[{"number":"x"}]`, `,"history":[{"ended":"0000-01-01T00:00:00Z"}]`} {
		r, err := decodeRow([]byte(`{"v":1,"state":"free","ttl":"1s","attempts":2` + history + `}`))
		if err != nil || r.Attempts != 2 || r.History != nil {
			t.Errorf("%s: %+v, %v, want 2 attempts and no history", history, r, err)
		}
	}
	r, err := decodeRow([]byte(`{"v":1,"state":"free","ttl":"1s","history":[{"number":1,"later":{}}]}`))
	if err != nil || len(r.History) != 1 {
		t.Errorf("a history with a field of a later version: %+v, %v, want one attempt", r, err)
	}
}

// TestHistoryFits: of a row that would be too large, the earliest attempts are left out.
func TestHistoryFits(t *testing.T) {
	t.Parallel()
	r := keyRow{Phase: dedupe.PhaseDeadLettering, TTL: time.Hour, Reason: strings.Repeat("\x01", dedupe.MaxReason)}
	for n := range dedupe.MaxHistory {
		r.History = dedupe.AppendAttempt(r.History, &dedupe.Attempt{Number: n, Error: strings.Repeat("\x01", dedupe.MaxAttemptError)})
	}
	r.fitHistory(minMessage)
	if len(r.encodeRow()) > minMessage || len(r.History) != 1 || r.History[0].Number != dedupe.MaxHistory-1 {
		t.Errorf("%d bytes with %d attempts, want at most %d with the last one", len(r.encodeRow()), len(r.History), minMessage)
	}
	r.fitHistory(1)
	if len(r.History) > 0 || len(r.Reason) != dedupe.MaxReason {
		t.Errorf("%d attempts and %d bytes of the reason are left, want the reason alone", len(r.History), len(r.Reason))
	}
}
