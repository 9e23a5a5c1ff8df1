package bench

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
)

// stallingSink stalls once, and notes when events were sent and confirmed.
type stallingSink struct {
	at    int // the event at which it stalls
	stall time.Duration

	busy                chan struct{}
	fromDue, fromCalled []time.Duration
	order               []int
}

func newStallingSink(at int, stall time.Duration) *stallingSink {
	return &stallingSink{at: at, stall: stall, busy: make(chan struct{}, 1)}
}

func (s *stallingSink) send(_ context.Context, events []eventStamp) error {
	s.busy <- struct{}{} // all wait for the server
	defer func() { <-s.busy }()
	called := time.Now()
	for _, e := range events {
		if e.index == s.at {
			time.Sleep(s.stall)
		}
		s.order = append(s.order, e.index)
	}
	for _, e := range events {
		s.fromDue = append(s.fromDue, time.Duration(e.since(time.Now())))
		s.fromCalled = append(s.fromCalled, time.Since(called))
	}
	return nil
}

func (s *stallingSink) finish(context.Context) error { return nil }

// TestStallIsSeenByEveryEventThatIsDueMeanwhile: counted from the call, a stall would be one slow
// event.
func TestStallIsSeenByEveryEventThatIsDueMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStallingSink(300, 400*time.Millisecond)
		late := newLatency()
		l := &load{events: 1000, rate: 1000, senders: 1, late: func(s eventStamp, now time.Time) { _ = late.record(s.since(now)) }}
		if err := l.run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		fromDue, fromCalled := newLatency(), newLatency()
		for i := range s.fromDue {
			_ = fromDue.record(int64(s.fromDue[i]))
			_ = fromCalled.record(int64(s.fromCalled[i]))
		}
		if p := time.Duration(fromDue.histogram.ValueAtPercentile(80)); p < 150*time.Millisecond {
			t.Errorf("from due, the 80th percentile is %v", p)
		}
		if p := time.Duration(fromCalled.histogram.ValueAtPercentile(80)); p > time.Millisecond {
			t.Errorf("from the call, the 80th percentile is %v: the stall is no test", p)
		}
		if p := time.Duration(late.histogram.Max()); p < 390*time.Millisecond {
			t.Errorf("events were sent %v late at most", p)
		}
		for i, index := range s.order {
			if i != index {
				t.Fatalf("event %d was sent as number %d", index, i)
			}
		}
	})
}

func TestLoadKeepsItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := newStallingSink(-1, 0)
		if err := (&load{events: 501, rate: 250, senders: 4}).run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		for i, d := range s.fromDue {
			if d < 0 || d > time.Microsecond {
				t.Errorf("event %d was sent %v after it was due", i, d)
			}
		}
	})
}

type failingSink struct{ err error }

func (f failingSink) send(context.Context, []eventStamp) error { return f.err }
func (f failingSink) finish(context.Context) error             { return nil }

func TestLoadEndsWithTheFirstFailure(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	if err := (&load{events: 100_000, senders: 3}).run(t.Context(), failingSink{full}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(full)
	if err := (&load{events: 10, rate: 1e-3, senders: 1}).run(ctx, newStallingSink(-1, 0)); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

// A batch that is refused is reported once, not once for each of its events.
func TestRefusedBatchIsReportedOnce(t *testing.T) {
	t.Parallel()
	refused := errors.New("too large")
	for want, receipts := range map[string][]bus.Receipt{
		"too large": {{}, {Err: refused}},
		"too large (and 2 events more were not published)": {{Err: refused}, {}, {Err: refused}, {Err: refused}},
		"joined": {{}, {}},
	} {
		if err := firstFailure(receipts, errors.New("joined")); err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
