package bustest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

func scheduling(h Harness, schedules bool) []promise {
	all := []promise{
		{name: "a scheduled event is published when it is due, as the same event", keeps: schedulesSame, unless: !schedules},
		{name: "a schedule is in nobody's deliveries", keeps: hidesSchedules, unless: !schedules},
		{name: "a time that has come means at once", keeps: schedulesThePast, unless: !schedules},
		{name: "of one event one schedule waits, however often it is scheduled", keeps: replacesSchedules, unless: !schedules},
		{name: "scheduled events are listed by topic", keeps: listsSchedules, unless: !schedules},
		{name: "a scheduled event that was cancelled is not published", keeps: cancelsSchedules, unless: !schedules},
		{name: "what cannot be scheduled is refused", keeps: refusesSchedules, unless: !schedules},
		{
			name: "a schedule that would be dropped before it is due is refused", keeps: refusesShortLived, unless: !schedules,
			stream: Stream{MaxAge: time.Hour},
		},
		{name: "a scheduled event is published once although the server was started again", keeps: schedulesThroughRestart, unless: !schedules || h.Restart == nil},
		{name: "what became due while the server was away is published once", keeps: schedulesThroughOutage, unless: !schedules || h.Restart == nil},
	}
	for i := range all {
		all[i].stream.Schedules = true
	}
	return all
}

func (f *fixture) scheduler(t *testing.T) bus.Scheduler {
	t.Helper()
	s, ok := f.bus.(bus.Scheduler)
	if !ok {
		t.Fatalf("%T is no bus.Scheduler", f.bus)
	}
	return s
}

// scheduled schedules events for a time, and returns that.
func (f *fixture) scheduled(t *testing.T, in time.Duration, events ...bus.Event) time.Time {
	t.Helper()
	due := time.Now().Add(in).Truncate(time.Millisecond)
	receipts, err := f.scheduler(t).Schedule(t.Context(), due, events...)
	if err != nil || len(receipts) != len(events) {
		t.Fatalf("Schedule of %d events: %d receipts, %v", len(events), len(receipts), err)
	}
	return due
}

// full is an event with all that one can have, control headers included.
func full(id string) bus.Event {
	e := event(id)
	e.Source, e.Key, e.Type, e.ContentType = "/shop", "customer 1", "order.placed", "text/plain"
	e.Time = time.Unix(1_700_000_000, 123_456_789).UTC()
	e.Headers = bus.Headers{"Traceparent": {"00-1-2-01"}, "X-Two": {"1", "2"}}
	return e.WithControl(bus.Control{Group: "g", Again: "june"})
}

// schedulesSame compares an event that was scheduled with the same event published.
func schedulesSame(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	e := full("a")
	f.publish(t, e)
	due := f.scheduled(t, 2*time.Second, e, event("b"))
	ds := f.fetch(t, src, 1)
	direct := ds[0]
	ack(t, direct)
	ds = f.fetch(t, src, 2)
	if ds[0].Event.ID != "a" {
		slices.Reverse(ds)
	}
	wantIDs(t, ds, "a", "b")
	fired := ds[0]
	if fired.At.Stored.Before(due) {
		t.Errorf("it was stored at %v, %v before it was due", fired.At.Stored, due.Sub(fired.At.Stored))
	}
	if err := differ(fired.Event, direct.Event); err != nil {
		t.Errorf("published when it was due it differs from published: %v", err)
	}
	control, err := fired.Event.Control()
	if want, _ := direct.Event.Control(); err != nil || control != want || control.Again != "june" {
		t.Errorf("its control headers say %+v, %v; want %+v", control, err, want)
	}
	if fired.Event.Identity() != direct.Event.Identity() || bus.MessageID(&fired.Event) != bus.MessageID(&direct.Event) {
		t.Errorf("it is event %q, and was %q", fired.Event.Identity(), direct.Event.Identity())
	}
	if fired.ServerMessage != "" || fired.Malformed != nil {
		t.Errorf("it is taken for %q, malformed: %v", fired.ServerMessage, fired.Malformed)
	}
	ack(t, ds...)
	f.idle(t, src)
	if info := f.info(t, src, "nothing pending", func(i bus.Info) bool { return i.Pending == 0 }); info.Lost != 0 {
		t.Errorf("%d events are lost; the schedules that are done are none", info.Lost)
	}
}

func hidesSchedules(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.scheduled(t, time.Hour, event("later"))
	f.publish(t, event("now"))
	wantIDs(t, f.fetch(t, src, 1), "now")
	f.fetchNone(t, src, 200*time.Millisecond)
	if info := f.info(t, src, "nothing pending", func(i bus.Info) bool { return i.Pending == 0 }); info.Lost != 0 {
		t.Errorf("lost: %d", info.Lost)
	}
}

func schedulesThePast(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.scheduled(t, -time.Hour, event("past"))
	wantIDs(t, f.fetch(t, src, 1), "past")
	if left := f.waiting(t, "orders.>"); len(left) > 0 {
		t.Errorf("%q still wait", left)
	}
}

// waiting are the ids of scheduled events of a topic, sorted.
func (f *fixture) waiting(t *testing.T, pattern string) (ids []string) {
	t.Helper()
	events, err := f.scheduler(t).Scheduled(t.Context(), pattern, 100)
	if err != nil {
		t.Fatalf("Scheduled(%q): %v", pattern, err)
	}
	for _, s := range events {
		ids = append(ids, s.Event.ID)
	}
	slices.Sort(ids)
	return ids
}

func replacesSchedules(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	f.scheduled(t, time.Hour, event("a"))
	f.scheduled(t, time.Hour, event("a"))
	f.scheduled(t, time.Second, event("a"))
	equal(t, "waiting", f.waiting(t, "orders.>"), []string{"a"})
	wantIDs(t, f.fetch(t, src, 1), "a")
	f.fetchNone(t, src, 500*time.Millisecond)
	if left := f.waiting(t, "orders.>"); len(left) > 0 {
		t.Errorf("%q still wait", left)
	}
}

// hostileEvents are events whose ids a bus may want in a name.
func hostileEvents() (events []bus.Event) {
	for _, id := range []string{"a.b", "a", "*", ">", "a b", "ü", "%41", "A"} {
		events = append(events, event(id))
	}
	other := event("a")
	other.Source = "/shop"
	return append(events, other)
}

func listsSchedules(t *testing.T, f *fixture) {
	due := f.scheduled(t, time.Hour, hostileEvents()...)
	deeper := event("deep")
	deeper.Topic = "orders.new.deep"
	f.scheduled(t, time.Hour, deeper)
	if n := len(f.waiting(t, "orders.new")); n != len(hostileEvents()) {
		t.Errorf("%d events of topic orders.new wait; want %d", n, len(hostileEvents()))
	}
	equal(t, "waiting", f.waiting(t, "orders.*.deep"), []string{"deep"})
	equal(t, "waiting elsewhere", f.waiting(t, "orders.other"), nil)
	if n := len(f.waiting(t, "orders.>")); n != len(hostileEvents())+1 {
		t.Errorf("%d events wait; want %d", n, len(hostileEvents())+1)
	}
	some, err := f.scheduler(t).Scheduled(t.Context(), "orders.new", 2)
	if err != nil || len(some) != 2 || !some[0].Due.Equal(due) {
		t.Errorf("Scheduled: %+v, %v; want two, due at %v", some, err, due)
	}
}

func cancelsSchedules(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	all := hostileEvents()
	f.scheduled(t, 4*time.Second, all...)
	cancel := func(e bus.Event) error { return f.scheduler(t).CancelScheduled(t.Context(), e.Topic, e.Identity()) }
	for i := range all[:len(all)-1] {
		if err := cancel(all[i]); err != nil {
			t.Fatalf("CancelScheduled of %q: %v", all[i].ID, err)
		}
		if err := cancel(all[i]); !errors.Is(err, bus.ErrNotScheduled) {
			t.Errorf("CancelScheduled of %q again: %v; want ErrNotScheduled", all[i].ID, err)
		}
	}
	if err := cancel(event("never")); !errors.Is(err, bus.ErrNotScheduled) {
		t.Errorf("CancelScheduled of none: %v; want ErrNotScheduled", err)
	}
	kept := f.fetch(t, src, 1)[0]
	if kept.Event.Source != "/shop" {
		t.Errorf("%+v was published; want the one that was not cancelled", kept.Event)
	}
	if err := cancel(all[len(all)-1]); !errors.Is(err, bus.ErrNotScheduled) {
		t.Errorf("CancelScheduled of what was published: %v; want ErrNotScheduled", err)
	}
	f.fetchNone(t, src, 500*time.Millisecond)
}

func refusesSchedules(t *testing.T, f *fixture) {
	s := f.scheduler(t)
	if _, err := s.Schedule(t.Context(), time.Now().Add(bus.MaxDelay+time.Hour), event("a")); !errors.Is(err, bus.ErrTooFar) {
		t.Errorf("in eleven years: %v; want ErrTooFar", err)
	}
	for name, c := range map[string]struct {
		e    bus.Event
		want error
	}{"no id": {bus.Event{Topic: "orders.new"}, bus.ErrInvalidEvent}, "no stream": {bus.Event{ID: "a", Topic: "elsewhere"}, bus.ErrNoStream}} {
		receipts, err := s.Schedule(t.Context(), time.Now().Add(time.Hour), c.e)
		if !errors.Is(err, c.want) || len(receipts) != 1 || !errors.Is(receipts[0].Err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, receipts, err, c.want)
		}
	}
	equal(t, "waiting", f.waiting(t, "orders.>"), nil)
}

func refusesShortLived(t *testing.T, f *fixture) {
	if _, err := f.scheduler(t).Schedule(t.Context(), time.Now().Add(2*time.Hour), event("a")); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in two hours, in a stream that keeps nothing for longer than one: %v; want ErrUnsupported", err)
	}
	f.scheduled(t, 30*time.Minute, event("b"))
	equal(t, "waiting", f.waiting(t, "orders.>"), []string{"b"})
}

func schedulesThroughRestart(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	due := f.scheduled(t, 5*time.Second, full("a"))
	f.h.Restart(t, f.bus)
	d := f.fetchThrough(t, src, 1)[0]
	if d.Event.ID != "a" || d.At.Stored.Before(due) {
		t.Errorf("%q was stored at %v; want a, due at %v", d.Event.ID, d.At.Stored, due)
	}
	ack(t, d)
	f.fetchNone(t, src, time.Second)
	equal(t, "waiting", f.waiting(t, "orders.>"), nil)
}

func schedulesThroughOutage(t *testing.T, f *fixture) {
	src := f.subscribe(t, "g", nil)
	due := f.scheduled(t, time.Millisecond, event("a"), event("b"))
	f.h.Restart(t, f.bus) // they are due long before it is back
	ds := f.fetchThrough(t, src, 2)
	got := ids(ds)
	slices.Sort(got)
	equal(t, "published", got, []string{"a", "b"})
	for _, d := range ds {
		if d.At.Stored.Before(due) {
			t.Errorf("%q was stored at %v, before it was due at %v", d.Event.ID, d.At.Stored, due)
		}
	}
	ack(t, ds...)
	f.fetchNone(t, src, time.Second)
}
