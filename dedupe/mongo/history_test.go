package mongo_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
)

// TestSuccessHasNoHistory: what succeeds at once costs the commands, and leaves the fields, that it
// did before there were histories.
func TestSuccessHasNoHistory(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	cs, err := s.Claim(t.Context(), requests(1)[:2])
	if err != nil {
		t.Fatal(err)
	}
	if err := each(s.Extend(t.Context(), cs, time.Minute, time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := each(s.Settle(t.Context(), []dedupe.Settlement{{Claim: cs[0], TTL: time.Hour}, {Claim: cs[1], TTL: time.Hour}})); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.take() {
		if bytes.Contains(c, []byte("history")) {
			t.Errorf("a command names the history: %v", c)
		}
	}
	var row map[string]any
	if err := s.Collection().FindOne(t.Context(), bson.D{{Key: "_id", Value: s.RowID(cs[0].Key)}}).Decode(&row); err != nil {
		t.Fatal(err)
	}
	want := []string{"_id", "attempts", "crashes", "expireAt", "hash", "lease_until", "owner", "since", "state", "token"}
	if got := slices.Sorted(maps.Keys(row)); !slices.Equal(got, want) {
		t.Errorf("the row has the fields %v, want %v", got, want)
	}
}

// TestFailuresCostOneRoundTrip: also a batch of failures, each with an attempt of its own.
func TestFailuresCostOneRoundTrip(t *testing.T) {
	t.Parallel()
	s, _, r := recorded(t, nil)
	cs, err := s.Claim(t.Context(), requests(1))
	if err != nil {
		t.Fatal(err)
	}
	ss := make([]dedupe.Settlement, len(cs))
	keys := make([]dedupe.Key, len(cs))
	for i, c := range cs {
		ss[i] = dedupe.Settlement{Claim: c, Outcome: dedupe.Failed, TTL: time.Hour, Attempt: &dedupe.Attempt{Number: i, Error: "$ROOT"}}
		keys[i] = c.Key
	}
	ss[0].Attempt = nil
	r.take()
	if err := each(s.Settle(t.Context(), ss)); err != nil {
		t.Fatal(err)
	}
	if got := names(r.take()); !slices.Equal(got, []string{"update"}) {
		t.Errorf("%d failures: %v, want one update", len(ss), got)
	}
	es, err := s.Inspect(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range es {
		if i == 0 && len(e.History) == 0 || len(e.History) == 1 && e.History[0].Number == i && e.History[0].Error == "$ROOT" {
			continue
		}
		t.Errorf("key %d: the history %+v, want its own attempt", i, e.History)
	}
	if got := names(r.take()); !slices.Equal(got, []string{"aggregate"}) {
		t.Errorf("inspected: %v, want one aggregate", got)
	}
}

// TestHistoryOfAnotherShape: a history that is none fails no claim and no settlement.
func TestHistoryOfAnotherShape(t *testing.T) {
	t.Parallel()
	s, _, _ := recorded(t, nil)
	for id, history := range map[string]any{"no list": 7, "no attempts": bson.A{1, bson.D{{Key: "number", Value: "x"}}}} {
		key := dedupe.Key{Topic: "t", Group: "g", ID: id}
		row := bson.D{{Key: "_id", Value: s.RowID(key)}, {Key: "state", Value: "free"}, {Key: "history", Value: history}, {Key: "token", Value: int64(1)}, {Key: "expireAt", Value: time.Now().Add(time.Hour)}}
		if _, err := s.Collection().InsertOne(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		c := claimOne(t, s, dedupe.Request{Key: key, Nonce: id, Lease: time.Minute, TTL: time.Hour})
		es, err := s.Inspect(t.Context(), []dedupe.Key{key})
		if err != nil || es[0].Phase != dedupe.PhaseClaimed {
			t.Errorf("%s: %+v, %v, want claimed", id, es, err)
		}
		failed := dedupe.Settlement{Claim: c, Outcome: dedupe.Failed, TTL: time.Hour, Attempt: &dedupe.Attempt{Number: 1}}
		if err := each(s.Settle(t.Context(), []dedupe.Settlement{failed})); err != nil {
			t.Errorf("%s: %v, want it settled", id, err)
		}
	}
}
