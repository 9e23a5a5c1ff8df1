package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
	"github.com/onceish/onceish/outbox/outboxtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, harness(0))
}

func TestDrainer(t *testing.T) {
	t.Parallel()
	outboxtest.RunDrainer(t, harness(0))
}

// The store's clock is its own: it may be off by minutes from that of drainers.
func TestDrainerUnderAnotherClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		h := harness(off)
		h.Many = 2_000
		t.Run(off.String(), func(t *testing.T) { outboxtest.RunDrainer(t, h) })
	}
}

// harness is of outboxes whose clock is off.
func harness(off time.Duration) outboxtest.Harness {
	return outboxtest.Harness{
		New: func(t *testing.T) outboxtest.Subject {
			t.Helper()
			return subject(t, off)
		},
		Run: func(t *testing.T, test func(t *testing.T)) {
			t.Helper()
			synctest.Test(t, test)
		},
		Many: 20_000, Outage: time.Hour, Lease: 10 * time.Second,
	}
}

func subject(t *testing.T, off time.Duration) outboxtest.Subject {
	t.Helper()
	q := newQueue(t, &memoutbox.Options{
		Partitions: outboxtest.Partitions, MaxSent: 1_000_000, Now: func() time.Time { return time.Now().Add(off) },
	})
	add := func(t *testing.T, rows ...outbox.Row) []string {
		t.Helper()
		ids, err := q.AddRows(t.Context(), rows...)
		if err != nil {
			t.Fatalf("AddRows: %v", err)
		}
		return ids
	}
	return outboxtest.Subject{
		Queue: q, Add: add,
		Refused: func(t *testing.T, rows ...outbox.Row) error {
			t.Helper()
			_, err := q.AddRows(t.Context(), rows...)
			return err
		},
		Skewed: func(*testing.T, time.Duration) outbox.Queue { return q }, // its clients' clocks are not asked
		Late: func(_ *testing.T, rows ...outbox.Row) func(t *testing.T) {
			for i := range rows {
				rows[i].Seq = uint64(time.Now().Add(off).UnixNano()) - uint64(len(rows)-i)
			}
			return func(t *testing.T) {
				t.Helper()
				add(t, rows...)
			}
		},
	}
}

func newQueue(t testing.TB, o *memoutbox.Options) *memoutbox.Queue {
	t.Helper()
	q, err := memoutbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}
