package memory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

func TestRecreateIsAnotherIncarnation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1", "2")
	before := w.take(t, "1", "2")
	check(t, w.bus.Recreate(name))
	if _, err := w.src.TryFetch(1); !errors.Is(err, bus.ErrConsumerLost) {
		t.Fatalf("TryFetch: %v; want ErrConsumerLost", err)
	}
	w.publish(t, "1", "2") // their message ids are forgotten
	w.subscribe(t, bus.SubscribeOptions{Resume: bus.Position{Stored: before[1].At.Stored}})
	after := w.take(t, "1", "2")
	if at := after[0].At; at.Sequence != 1 || at.Stream == before[0].At.Stream || !strings.HasPrefix(at.Stream, name+"@") {
		t.Errorf("position %+v in the new stream; it was %+v in the old one", at, before[0].At)
	}
}

func TestRestoreUsesSequencesAgainAndTimesNever(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1")
	snap, err := w.bus.Snapshot(name)
	check(t, err)
	at := map[bus.Position]string{w.take(t, "1")[0].At: "1"}
	// The clock stands still: positions must differ all the same.
	for _, id := range []string{"a", "b", "c"} {
		snap.Restore()
		w.publish(t, id)
		w.subscribe(t, bus.SubscribeOptions{})
		d := w.take(t, "1", id)[1]
		if d.At.Sequence != 2 {
			t.Fatalf("%q lies at %d; want 2, again", id, d.At.Sequence)
		}
		if other, ok := at[d.At]; ok {
			t.Errorf("%q and %q lie at the same position %+v", id, other, d.At)
		}
		at[d.At] = id
	}
}

func TestRestoreKnowsTheMessageIDsOfItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1")
	snap, err := w.bus.Snapshot(name)
	check(t, err)
	w.publish(t, "2")
	snap.Restore()
	receipts, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: "a"}, bus.Event{ID: "2", Topic: "a"})
	check(t, err)
	if !receipts[0].Duplicate || receipts[1].Duplicate {
		t.Fatalf("%+v; want the first to be known, the second not", receipts)
	}
}

func TestPurgeByTopicLeavesTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	for _, topic := range []string{"a", "b", "a.b", "a.c", "b.c"} {
		_, err := w.bus.Publish(t.Context(), bus.Event{ID: topic, Topic: topic})
		check(t, err)
	}
	check(t, w.bus.Purge(name, "a.*"))
	check(t, w.bus.Delete(name, 1, 1, 3, 99))
	w.take(t, "b", "b.c")
	info, err := w.src.Info(t.Context())
	check(t, err)
	if info.Lost != 3 {
		t.Errorf("%d lost; want 3", info.Lost)
	}
}
