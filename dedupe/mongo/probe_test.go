package mongo_test

import (
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/mongowire"
)

// A server that undoes what is aborted passes.
func TestProbe(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	if err := l.store.ProbeTransactions(t.Context()); err != nil {
		t.Error(err)
	}
	if got, want := names(l.sent.take()), []string{"insert", "aggregate", "abortTransaction", "aggregate"}; !equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

// One that undoes it, and shows it to others before, is refused: it isolates nothing, and two
// handlers would write over each other.
func TestProbeIsolation(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.set.Leak()
	if err := l.store.ProbeTransactions(t.Context()); !errors.Is(err, dedupe.ErrNoTransactions) || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("%v, want a refusal", err)
	}
}

// One that keeps it, or has no transactions, is refused, and what it kept is deleted.
func TestProbeRefuses(t *testing.T) {
	t.Parallel()
	s, coll, _ := wired(t)
	err := s.ProbeTransactions(t.Context())
	var hello struct{ SetName string }
	if e := coll.Database().RunCommand(t.Context(), bson.D{{Key: "hello", Value: 1}}).Decode(&hello); e != nil {
		t.Fatal(e)
	}
	if has := hello.SetName != ""; has != (err == nil) || (!has && !errors.Is(err, dedupe.ErrNoTransactions)) {
		t.Errorf("replica set %q: %v", hello.SetName, err)
	}
	t.Log(err)
	if n, err := coll.CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
		t.Errorf("%d documents are left, %v", n, err)
	}
}

// An answer that does not come is no proof either.
func TestProbeUnanswered(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.set.On(func(string, int) *mongowire.Turn {
		return &mongowire.Turn{Reply: mongowire.LabelledFailure(20, "IllegalOperation")}
	})
	if err := l.store.ProbeTransactions(t.Context()); !errors.Is(err, dedupe.ErrNoTransactions) {
		t.Errorf("%v, want a refusal", err)
	}
}
