package bustest

import (
	"errors"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func settling() []promise {
	return []promise{
		{name: "an acknowledged event is never redelivered", keeps: settlesBy(func(t *testing.T, d *bus.Delivery) error {
			return d.Ack(t.Context())
		})},
		{name: "a terminated event is never redelivered", keeps: settlesBy(func(t *testing.T, d *bus.Delivery) error {
			return d.Term(t.Context(), "no use")
		})},
		{name: "an event terminated without a reason is never redelivered", keeps: settlesBy(func(t *testing.T, d *bus.Delivery) error {
			return d.Term(t.Context(), "")
		})},
		{name: "an unsettled event is redelivered after its deadline, and counts", keeps: comesAgain},
		{name: "an unsettled event is redelivered to any source of its group", keeps: comesToOther},
		{name: "Extend postpones the deadline", keeps: postpones},
		{name: "a nak brings the event again at once", keeps: naksAtOnce},
		{name: "a nak with a delay brings the event again after it", keeps: naksLater},
		{name: "Info has the deadline in force, and the time by which events are stored", keeps: tellsDeadlineAndTime},
		{name: "a delivery is settled once", keeps: settlesOnce},
		{name: "a late ack settles the delivery that is out", keeps: acksLate},
	}
}

// settlesBy is a case in which both a fresh and a redelivered event are settled for good.
func settlesBy(settle func(t *testing.T, d *bus.Delivery) error) func(t *testing.T, f *fixture) {
	return func(t *testing.T, f *fixture) {
		src := f.subscribe(t, "g", f.short())
		f.publish(t, events(2)...)
		ds := f.fetch(t, src, 2)
		nak(t, ds[1], 0)
		ds = append(ds[:1], f.fetch(t, src, 1)...)
		for _, d := range ds {
			if err := settle(t, d); err != nil {
				t.Fatalf("settling %q: %v", d.Event.ID, err)
			}
		}
		f.fetchNone(t, src, f.h.AckWait+f.h.AckWait/2)
		f.idle(t, src)
	}
}

// slack is by how much clocks and timers of a server may be early.
const slack = 20 * time.Millisecond

// wantAgain checks a redelivery: it came when it was due, not sooner.
func wantAgain(t *testing.T, d, first *bus.Delivery, arrivals int, due time.Time) {
	t.Helper()
	if early := time.Until(due); early > slack {
		t.Errorf("%q came again %v too early", d.Event.ID, early)
	}
	if d.Event.ID != first.Event.ID || d.At.Sequence != first.At.Sequence || !d.At.Stored.Equal(first.At.Stored) {
		t.Fatalf("%q at %+v came; want %q at %+v again", d.Event.ID, d.At, first.Event.ID, first.At)
	}
	if d.Arrivals != arrivals {
		t.Errorf("%q counts %d arrivals; want %d", d.Event.ID, d.Arrivals, arrivals)
	}
}

func comesAgain(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	asked := time.Now()
	first := f.fetch(t, src, 1)[0]
	for arrivals := 2; arrivals <= 3; arrivals++ {
		due := asked.Add(f.h.AckWait)
		asked = due
		wantAgain(t, f.fetch(t, src, 1)[0], first, arrivals, due)
	}
}

func comesToOther(t *testing.T, f *fixture) {
	a, b := f.subscribe(t, "g", f.short()), f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	asked := time.Now()
	first := f.fetch(t, a, 1)[0]
	f.readOut(t, a)
	again := f.fetch(t, b, 1)[0]
	wantAgain(t, again, first, again.Arrivals, asked.Add(f.h.AckWait))
	if again.Arrivals < 2 {
		t.Errorf("a redelivery counts %d arrivals", again.Arrivals)
	}
}

func postpones(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	d := f.fetch(t, src, 1)[0]
	var extended time.Time
	for limit := time.Now().Add(2 * f.h.AckWait); time.Now().Before(limit); {
		extended = time.Now()
		if err := d.Extend(t.Context()); err != nil {
			t.Fatalf("Extend: %v", err)
		}
		f.fetchNone(t, src, f.h.AckWait/4)
	}
	wantAgain(t, f.fetch(t, src, 1)[0], d, 2, extended.Add(f.h.AckWait))
}

func naksAtOnce(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.publish(t, events(2)...)
	ds := f.fetch(t, src, 2)
	ack(t, ds[1])
	nak(t, ds[0], 0)
	began := time.Now()
	wantAgain(t, f.fetch(t, src, 1)[0], ds[0], 2, began)
	if took := time.Since(began); took > f.h.Patience/2 {
		t.Errorf("a nak brought the event again after %v; want at once", took)
	}
}

func naksLater(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	first := f.fetch(t, src, 1)[0]
	// Shorter than the deadline, then longer.
	shorter, longer := f.h.AckWait/3, 2*f.h.AckWait
	due := time.Now().Add(shorter)
	nak(t, first, shorter)
	second := f.fetch(t, src, 1)[0]
	wantAgain(t, second, first, 2, due)
	due = time.Now().Add(longer)
	nak(t, second, longer)
	wantAgain(t, f.fetch(t, src, 1)[0], first, 3, due)
}

func settlesOnce(t *testing.T, f *fixture) {
	ways := []struct {
		name string
		call func(d *bus.Delivery) error
	}{
		{"Ack", func(d *bus.Delivery) error { return d.Ack(t.Context()) }},
		{"Term", func(d *bus.Delivery) error { return d.Term(t.Context(), "no use") }},
		{"Nak", func(d *bus.Delivery) error { return d.Nak(t.Context(), time.Hour) }},
		{"Extend", func(d *bus.Delivery) error { return d.Extend(t.Context()) }},
	}
	src := f.subscribe(t, "g", f.short())
	for _, first := range ways[:3] {
		f.publish(t, event(first.name))
		d := f.fetch(t, src, 1)[0]
		if err := first.call(d); err != nil {
			t.Fatalf("%s: %v", first.name, err)
		}
		for _, second := range ways {
			if err := second.call(d); !errors.Is(err, bus.ErrAnswered) {
				t.Errorf("%s after %s: %v; want ErrAnswered", second.name, first.name, err)
			}
		}
	}
	// Had a second settlement been sent, the event would be gone, or back.
	f.fetchNone(t, src, f.h.AckWait+f.h.AckWait/2)
	f.info(t, src, "the nacked event unsettled", func(i bus.Info) bool { return i.Unsettled == 1 })
}

func acksLate(t *testing.T, f *fixture) {
	a, b := f.subscribe(t, "g", f.short()), f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	late := f.fetch(t, a, 1)[0]
	f.readOut(t, a)
	f.fetch(t, b, 1) // the redelivery
	ack(t, late)
	f.fetchNone(t, b, f.h.AckWait+f.h.AckWait/2)
	f.idle(t, b)
}

func tellsDeadlineAndTime(t *testing.T, f *fixture) {
	a := f.subscribe(t, "g", f.short())
	f.publish(t, event("1"))
	d := f.fetch(t, a, 1)[0]
	ack(t, d)
	info := f.info(t, a, "the deadline", func(i bus.Info) bool { return i.AckWait == f.h.AckWait })
	if d.At.Stored.Sub(info.Now) > slack || info.Now.Sub(d.At.Stored) > f.h.Patience {
		t.Errorf("Info has the time %v, and an event was stored just now, at %v", info.Now, d.At.Stored)
	}
	f.subscribe(t, "g", &bus.SubscribeOptions{AckWait: 2 * f.h.AckWait})
	f.info(t, a, "the deadline that another process has set", func(i bus.Info) bool { return i.AckWait == 2*f.h.AckWait })
}
