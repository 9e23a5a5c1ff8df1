package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

func event(id string) bus.Event { return bus.Event{ID: id, Topic: "orders.new", Key: "k"} }

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	for field, o := range map[string]memoutbox.Options{
		"Partitions": {Partitions: 65_537}, "MaxBytes": {MaxBytes: -1}, "Keep": {Keep: -1}, "MaxSent": {MaxSent: -1},
	} {
		if _, err := memoutbox.New(&o); err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("%s: %v; want an error that names it", field, err)
		}
	}
}

func TestAddIsAllOrNothing(t *testing.T) {
	t.Parallel()
	large := event("large")
	large.Data = make([]byte, 2_000)
	other := event("there")
	other.Data = []byte("another payload")
	for name, c := range map[string]struct {
		bad  bus.Event
		want error
	}{
		"no topic":   {bus.Event{ID: "a"}, bus.ErrInvalidEvent},
		"wildcard":   {bus.Event{ID: "a", Topic: "orders.*"}, bus.ErrInvalidEvent},
		"too large":  {large, bus.ErrTooLarge},
		"another":    {other, outbox.ErrExists},
		"same again": {event("there"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t, &memoutbox.Options{MaxBytes: 1_000})
			if _, err := q.Add(t.Context(), event("there")); err != nil {
				t.Fatal(err)
			}
			_, err := q.Add(t.Context(), event("before"), c.bad, event("after"))
			c2, countErr := q.Count(t.Context())
			want := map[bool]int{true: 3, false: 1}[c.want == nil]
			if !errors.Is(err, c.want) || countErr != nil || c2.Pending != want {
				t.Errorf("%v, %d rows; want %v, %d rows", err, c2.Pending, c.want, want)
			}
		})
	}
}

func TestWritersKeepNoHoldOfWhatTheyAdded(t *testing.T) {
	t.Parallel()
	q := newQueue(t, nil)
	e := event("a")
	e.Data, e.Headers = []byte("data"), bus.Headers{"H": {"v"}}
	if _, err := q.Add(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Data[0], e.Headers["H"][0] = 'X', "X"
	rows, err := q.List(t.Context(), outbox.Filter{}, 1)
	if err != nil || string(rows[0].Event.Data) != "data" || rows[0].Event.Headers.Get("H") != "v" {
		t.Errorf("%+v, %v", rows, err)
	}
}

// Sent rows leave by age and by number; others stay.
func TestSentRowsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &memoutbox.Options{Keep: time.Hour, MaxSent: 3, Partitions: 1})
		send := func(ids ...string) {
			leases, err := q.Acquire(t.Context(), "a", time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if oks, err := q.Settle(t.Context(), []outbox.Result{{Lease: leases[0], ID: outbox.RowID(&bus.Event{ID: id, Topic: "orders.new"})}}); err != nil || !oks[0] {
					t.Fatal(id, oks, err)
				}
			}
		}
		for i := range 6 {
			if _, err := q.Add(t.Context(), event(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		send("0", "1", "2", "3", "4")
		for _, want := range []int{3, 0} {
			if c, err := q.Count(t.Context()); err != nil || c.Sent != want || c.Pending != 1 {
				t.Errorf("%+v, %v; want %d sent, 1 pending", c, err, want)
			}
			time.Sleep(time.Hour)
		}
	})
}
