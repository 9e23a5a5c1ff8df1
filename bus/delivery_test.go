package bus_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// recorder is an Answerer that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	got     []bus.Answer
	extends int
	err     error
}

func (r *recorder) Answer(_ context.Context, s bus.Answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, s)
	return r.err
}

func (r *recorder) Extend(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.extends++
	return r.err
}

func TestDeliveryTellsItsAnswerer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settle func(d *bus.Delivery) error
		want   bus.Answer
	}{
		"ack":            {func(d *bus.Delivery) error { return d.Ack(t.Context()) }, bus.Answer{}},
		"nak":            {func(d *bus.Delivery) error { return d.Nak(t.Context(), 0) }, bus.Answer{Nak: true}},
		"delayed nak":    {func(d *bus.Delivery) error { return d.Nak(t.Context(), 5) }, bus.Answer{Nak: true, After: 5}},
		"term":           {func(d *bus.Delivery) error { return d.Term(t.Context(), "why") }, bus.Answer{Reason: "why"}},
		"term, unstated": {func(d *bus.Delivery) error { return d.Term(t.Context(), "") }, bus.Answer{Reason: "terminated"}},
	} {
		failure := errors.New("not sent")
		for _, want := range []error{nil, failure} {
			r := &recorder{err: want}
			d := bus.NewDelivery(bus.Event{ID: "1"}, 1, bus.Position{}, r)
			if err := d.Extend(t.Context()); !errors.Is(err, want) || r.extends != 1 {
				t.Errorf("%s: Extend before: %v, sent %d times", name, err, r.extends)
			}
			if err := c.settle(d); !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", name, err, want)
			}
			// Also a settlement that failed was the one.
			for _, again := range []error{c.settle(d), d.Ack(t.Context()), d.Nak(t.Context(), 0), d.Term(t.Context(), "x"), d.Extend(t.Context())} {
				if !errors.Is(again, bus.ErrAnswered) {
					t.Errorf("%s again: %v; want ErrAnswered", name, again)
				}
			}
			if !reflect.DeepEqual(r.got, []bus.Answer{c.want}) || r.extends != 1 {
				t.Errorf("%s: sent %+v and %d extensions; want %+v alone", name, r.got, r.extends, c.want)
			}
		}
	}
}

func TestOfConcurrentSettlementsOneWins(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	d := bus.NewDelivery(bus.Event{}, 1, bus.Position{}, r)
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = d.Nak(t.Context(), time.Duration(i)) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, bus.ErrAnswered) {
			t.Errorf("%v; want ErrAnswered", err)
		}
	}
	if won != 1 || len(r.got) != 1 {
		t.Errorf("%d settlements won, %d were sent; want one", won, len(r.got))
	}
}

func TestAPositionCoversWhatIsNotAboveItInSequenceNorTime(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	mark := bus.Position{Stream: "s", Sequence: 5, Stored: at}
	for _, c := range []struct {
		p    bus.Position
		want bool
	}{
		{mark, true},
		{bus.Position{Stream: "s", Sequence: 4, Stored: at.Add(-1)}, true},
		{bus.Position{Stream: "s", Sequence: 6, Stored: at.Add(1)}, false},
		{bus.Position{Stream: "s", Sequence: 4, Stored: at.Add(1)}, false}, // the sequence is used again
		{bus.Position{Stream: "s", Sequence: 6, Stored: at}, false},
		{bus.Position{Stream: "other", Sequence: 4, Stored: at.Add(-1)}, false},
	} {
		if got := mark.Covers(c.p); got != c.want {
			t.Errorf("%+v covers %+v: %v; want %v", mark, c.p, got, c.want)
		}
	}
	if (bus.Position{Stream: "s", Stored: at}).Covers(bus.Position{Stream: "s", Sequence: 1, Stored: at}) {
		t.Error("a position without sequence covers an event")
	}
}
