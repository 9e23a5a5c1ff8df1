package memory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
)

// world is a bus on a clock of its own, with one group.
type world struct {
	bus *membus.Bus
	src *membus.Source
	now time.Time
}

const wait = time.Minute

func newWorld(t *testing.T, s membus.Stream) *world {
	t.Helper()
	s.Name = name
	if s.Topics == nil {
		s.Topics = []string{">"}
	}
	w := &world{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	w.bus, err = membus.New(&membus.Options{Streams: []membus.Stream{s}, Now: func() time.Time { return w.now }})
	check(t, err)
	w.subscribe(t, bus.SubscribeOptions{})
	return w
}

func (w *world) subscribe(t *testing.T, o bus.SubscribeOptions) {
	t.Helper()
	o.AckWait = wait
	src, err := w.bus.Subscribe(t.Context(), ">", "g", &o)
	check(t, err)
	w.src = src.(*membus.Source)
}

func (w *world) publish(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		_, err := w.bus.Publish(t.Context(), bus.Event{ID: id, Topic: "a"})
		check(t, err)
	}
}

// take fetches all that is there and wants it to be these events.
func (w *world) take(t *testing.T, want ...string) []*bus.Delivery {
	t.Helper()
	ds, err := w.src.TryFetch(1000)
	check(t, err)
	if len(ds) != len(want) {
		t.Fatalf("%d deliveries; want %q", len(ds), want)
	}
	for i, d := range ds {
		if d.Event.ID != want[i] {
			t.Fatalf("delivery %d is of %q; want %q", i, d.Event.ID, want[i])
		}
	}
	return ds
}

func TestALateSettlementHitsWhateverDeliveryIsOut(t *testing.T) {
	t.Parallel()
	redelivered := func(t *testing.T) (*world, *bus.Delivery) {
		w := newWorld(t, membus.Stream{})
		w.publish(t, "1")
		late := w.take(t, "1")[0]
		w.now = w.now.Add(wait)
		w.take(t, "1")
		w.now = w.now.Add(wait / 2)
		return w, late
	}
	t.Run("ack", func(t *testing.T) {
		t.Parallel()
		w, late := redelivered(t)
		check(t, late.Ack(t.Context()))
		w.now = w.now.Add(2 * wait)
		w.take(t)
	})
	t.Run("nak", func(t *testing.T) {
		t.Parallel()
		w, late := redelivered(t)
		check(t, late.Nak(t.Context(), 0))
		w.take(t, "1")
	})
	t.Run("delayed nak", func(t *testing.T) {
		t.Parallel()
		w, late := redelivered(t)
		check(t, late.Nak(t.Context(), wait))
		w.now = w.now.Add(wait / 2)
		w.take(t)
		w.now = w.now.Add(wait / 2)
		w.take(t, "1")
	})
	t.Run("extend", func(t *testing.T) {
		t.Parallel()
		w, late := redelivered(t)
		check(t, late.Extend(t.Context()))
		w.now = w.now.Add(wait / 2)
		w.take(t)
		w.now = w.now.Add(wait / 2)
		w.take(t, "1")
	})
}

func TestASettlementReachesACursorThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1", "2")
	before := w.take(t, "1", "2")
	check(t, w.bus.DeleteGroup(">", "g"))
	check(t, before[0].Nak(t.Context(), 0)) // to nobody
	w.subscribe(t, bus.SubscribeOptions{})
	w.take(t, "1", "2")
	check(t, before[1].Ack(t.Context()))
	w.now = w.now.Add(wait)
	w.take(t, "1")
}

func TestExtendDoesNotTakeBackWhatIsQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1")
	d := w.take(t, "1")[0]
	w.now = w.now.Add(wait)
	check(t, d.Extend(t.Context()))
	w.take(t, "1")
}

func TestAnAckTakesBackWhatIsQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1", "2")
	ds := w.take(t, "1", "2")
	w.now = w.now.Add(wait)
	check(t, ds[0].Ack(t.Context()))
	check(t, ds[1].Nak(t.Context(), wait))
	w.take(t)
	w.now = w.now.Add(wait)
	w.take(t, "2")
}

func TestRedeliveriesGoFirstInTheOrderInWhichTheyAreDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, membus.Stream{})
	w.publish(t, "1", "2", "3", "4")
	ds := w.take(t, "1", "2", "3", "4")
	check(t, ds[0].Nak(t.Context(), 20*time.Second))
	check(t, ds[1].Nak(t.Context(), 10*time.Second))
	check(t, ds[2].Nak(t.Context(), 0))
	w.publish(t, "5")
	w.now = w.now.Add(30 * time.Second)
	w.take(t, "3", "2", "1", "5")
}

func TestADeadlineWakesAWaitingFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, membus.Stream{Topics: []string{">"}})
		src, err := b.Subscribe(t.Context(), ">", "g", &bus.SubscribeOptions{AckWait: 300 * time.Millisecond})
		check(t, err)
		_, err = b.Publish(t.Context(), bus.Event{ID: "1", Topic: "a"})
		check(t, err)
		began := time.Now()
		for n := range 3 {
			ds, err := src.Fetch(t.Context(), 1)
			if err != nil || len(ds) != 1 || time.Since(began) != time.Duration(n)*300*time.Millisecond {
				t.Fatalf("%d deliveries, %v, after %v", len(ds), err, time.Since(began))
			}
		}
	})
}
