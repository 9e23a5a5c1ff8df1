package outboxtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// failing is what happens when the store or the bus fails, or refuses.
func failing(able *kit) []promise {
	return []promise{
		{name: "Store/calls that were done and failed", keeps: executesThenErrs},
		{name: "Store/away for a while", keeps: storeAway},
		{name: "Store/slow: pages show what has been marked since", keeps: stalePages},
		{name: "Store/slow: a refusal that is not marked yet holds back its key", keeps: slowRefusal},
		{name: "Bus/confirmations that got lost", keeps: losesConfirmations},
		{name: "Bus/a long outage costs no attempts", keeps: outlasts},
		{name: "Bus/one row of a batch is refused", keeps: refusesOne},
		{name: "Bus/refused too often is dead", keeps: refusesAlways, unless: able.admin == nil},
		{name: "Bus/too large is dead at once", keeps: tooLarge, unless: able.admin == nil},
		{name: "Bus/a topic without a stream waits alone", keeps: topicWaits},
		{name: "Bus/a topic whose rows are gone waits no more", keeps: topicEnds, unless: able.admin == nil},
		{name: "Bus/one row that is never answered stops no other", keeps: neverAnswered},
		{name: "Bus/closed for good ends the drainer", keeps: closes},
		{name: "Dead/a head with many rows behind it holds back its key alone", keeps: deadHead, unless: able.admin == nil},
		{name: "Dead/its key goes on, if asked for", keeps: goesOn},
	}
}

func executesThenErrs(t *testing.T, k *kit) {
	w := newWorld(k)
	var mu sync.Mutex
	n := map[call]int{} // of each call: in a bubble they may go in step
	d := w.start(t, nil)
	d.spy.fails(nil, func(c call) error {
		mu.Lock()
		defer mu.Unlock()
		if n[c]++; n[c]%3 != 0 {
			return errFault
		}
		return nil
	})
	keys := w.mix(t, 5, 50)
	w.awaitSent(t, 300, d)
	w.bus.ordered(t, keys...)
	w.once(t)
}

// What was published before the store went away is marked when it is back.
func storeAway(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = time.Millisecond
	keys := w.mix(t, 5, 100)
	d := w.start(t, &outbox.Options{Batch: 5})
	w.awaitPublished(t, 100)
	d.spy.fails(func(call) error { return errFault }, nil)
	k.h.Wait(t, 3*w.h.Lease)
	if d.Healthy() == nil {
		t.Error("a drainer without its store is healthy")
	}
	d.spy.fails(nil, nil)
	w.awaitSent(t, 600, d)
	w.bus.ordered(t, keys...)
	w.once(t)
	w.await(t, "being healthy", func() bool { return d.Healthy() == nil })
}

// slow has pages arrive late, and marks be made late.
func (w *world) slow(t *testing.T, s *spy, pages, marks time.Duration) {
	t.Helper()
	late := func(which call, by time.Duration) func(call) error {
		return func(c call) error {
			if c == which && by > 0 {
				w.h.Wait(t, by)
			}
			return nil
		}
	}
	s.fails(late(settle, marks), late(pending, pages))
}

func stalePages(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = w.h.Lease / 20
	d := w.start(t, nil)
	w.slow(t, d.spy, w.h.Lease/10, 0) // what is being published when it is read is marked when it is there
	keys := w.mix(t, 5, 4)
	w.awaitSent(t, 24, d)
	w.bus.ordered(t, keys...)
	w.once(t)
}

func slowRefusal(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = w.h.Lease / 200 // so that those before it are marked before it
	tries := 0
	w.bus.answer = func(e *bus.Event) (bool, error) {
		if e.ID != "k-000003" {
			return true, nil
		}
		tries++
		return false, errRefused
	}
	d := w.start(t, &outbox.Options{Backoff: outbox.Backoff{Base: 24 * time.Hour, Max: 24 * time.Hour}})
	w.slow(t, d.spy, w.h.Lease/50, w.h.Lease/20)
	w.add(t, rowsOf("k", 10)...)
	w.await(t, "the refusal being marked", func() bool { return d.Stats().Refused == 1 })
	k.h.Wait(t, w.h.Lease)
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	if tries != 1 || len(w.bus.times) != 2 {
		t.Errorf("the row was tried %d times, and %d others were published; want one try, and the 2 before it", tries, len(w.bus.times))
	}
}

var errTimeout = errors.New("no confirmation")

func losesConfirmations(t *testing.T, k *kit) {
	w := newWorld(k)
	lost := map[string]bool{}
	w.bus.answer = func(e *bus.Event) (bool, error) {
		if strings.HasSuffix(e.ID, "5") && !lost[e.ID] {
			lost[e.ID] = true
			return true, errTimeout
		}
		return true, nil
	}
	keys := w.mix(t, 5, 20)
	d := w.start(t, nil)
	w.awaitSent(t, 120, d)
	w.bus.ordered(t, keys...)
	if again := w.bus.repeats(); len(again) != 12 {
		t.Errorf("%d events were published again; want the 12 whose confirmation was lost: %q", len(again), again)
	}
	if s := d.Stats(); s.Duplicates != 12 || s.Refused != 0 || s.Dead != 0 {
		t.Errorf("stats %+v", s)
	}
}

func outlasts(t *testing.T, k *kit) {
	w := newWorld(k)
	tried := 0
	w.bus.answer = func(*bus.Event) (bool, error) {
		tried++
		return false, errTimeout
	}
	d := w.start(t, &outbox.Options{MaxRows: 100, MaxAttempts: 1}) // one that is counted is one too many
	keys := w.mix(t, 5, 50)
	w.await(t, "the outage", func() bool { return d.Stats().Outages == 1 })
	began := time.Now()
	k.h.Wait(t, k.h.Outage)
	s, took := d.Stats(), time.Since(began)
	if s.Rows > 100 || s.Outages != 1 || s.Down < k.h.Outage/2 || d.Healthy() == nil {
		t.Errorf("in an outage: %+v, healthy: %v", s, d.Healthy())
	}
	w.bus.mu.Lock()
	if calls := w.bus.calls; calls > 30+int(took/(5*time.Second))+4 || tried > 100+calls {
		t.Errorf("the bus was called %d times, with %d events, in an outage of %v", calls, tried, took)
	}
	w.bus.mu.Unlock()
	for _, r := range w.walk(t, outbox.Ask{}) {
		if r.Attempts != 0 || r.After != 0 {
			t.Fatalf("an outage has changed %+v", r)
		}
	}
	w.bus.answers(nil)
	w.awaitSent(t, 300, d)
	w.bus.ordered(t, keys...)
	w.once(t)
	if s := d.Stats(); s.Refused != 0 || s.Dead != 0 || s.Fenced != 0 {
		t.Errorf("an outage was taken for a refusal: %+v", s)
	}
}

var errRefused = fmt.Errorf("the test: %w", bus.ErrRefused)

// refusing refuses an event so many times.
func (w *world) refusing(id string, times int) {
	n := 0
	w.bus.answer = func(e *bus.Event) (bool, error) {
		if e.ID == id && n < times {
			n++
			return false, errRefused
		}
		return true, nil
	}
}

func refusesOne(t *testing.T, k *kit) {
	w := newWorld(k)
	keys := w.mix(t, 3, 10)
	w.refusing("key1-000003", 2)
	d := w.start(t, &outbox.Options{Backoff: outbox.Backoff{Base: time.Second, Max: 2 * time.Second}})
	w.awaitSent(t, 40, d)
	w.bus.ordered(t, keys...)
	w.once(t)
	if s := d.Stats(); s.Refused != 2 || s.Dead != 0 || s.Outages != 0 {
		t.Errorf("stats %+v; want 2 refusals", s)
	}
	for i := 1; i < 3; i++ { // the others did not wait
		if key := keys[2*(i-1)]; !w.before(key, "key1-000003") {
			t.Errorf("%s waited for another key's refused row", key)
		}
	}
}

// before reports whether all of a key was published before an event.
func (w *world) before(key, id string) bool {
	w.bus.mu.Lock()
	defer w.bus.mu.Unlock()
	found := false
	for i := range w.bus.log {
		found = found || w.bus.log[i].ID == id
		if found && w.bus.log[i].Key == key {
			return false
		}
	}
	return true
}

func (w *world) dead(t *testing.T, want int) []outbox.Row {
	t.Helper()
	rows, err := w.admin.List(t.Context(), outbox.Filter{Status: outbox.Dead}, 100)
	if err != nil || len(rows) != want {
		t.Fatalf("%d dead rows, %v; want %d", len(rows), err, want)
	}
	return rows
}

func refusesAlways(t *testing.T, k *kit) {
	w := newWorld(k)
	w.mix(t, 2, 5)
	w.refusing("key0-000002", 1_000)
	d := w.start(t, &outbox.Options{MaxAttempts: 3, Backoff: outbox.Backoff{Base: time.Millisecond, Max: time.Millisecond}})
	w.await(t, "one being dead", func() bool { return d.Stats().Dead == 1 })
	w.awaitPublished(t, 12)
	r := w.dead(t, 1)[0]
	if r.Event.ID != "key0-000002" || r.Attempts != 3 || !strings.Contains(r.Reason, errRefused.Error()) {
		t.Errorf("dead: %+v", r)
	}
	w.await(t, "all being marked", func() bool { return len(w.pending(t)) == 0 })
	if w.bus.has("key0-000003") {
		t.Error("a row behind the dead one was published")
	}
	w.bus.answers(nil)
	n, err := w.admin.Retry(t.Context(), outbox.Filter{Status: outbox.Dead, Topic: ">"})
	w.did(t, "Retry", n, err, 1)
	d.Notify()
	w.awaitSent(t, 15, d)
	w.bus.ordered(t, "key0", "key1")
	w.once(t)
}

func tooLarge(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, row("k", "large"), row("k", "behind"), row("", "invalid"), row("x", "x"), row("", "y"))
	w.bus.answer = func(e *bus.Event) (bool, error) {
		switch e.ID {
		case "large":
			return false, bus.ErrTooLarge
		case "invalid":
			return false, bus.ErrInvalidEvent
		}
		return true, nil
	}
	d := w.start(t, nil)
	w.await(t, "two being dead", func() bool { return d.Stats().Dead == 2 })
	for _, r := range w.dead(t, 2) {
		if r.Attempts != 0 || r.Reason == "" {
			t.Errorf("dead: %+v; want no attempts, and a reason", r)
		}
	}
	w.awaitPublished(t, 2)
	if n, err := w.admin.Drop(t.Context(), outbox.Filter{IDs: []string{"large"}}); n != 1 || err != nil {
		t.Fatalf("Drop: %d, %v", n, err)
	}
	d.Notify()
	w.awaitSent(t, 3, d)
}

func topicWaits(t *testing.T, k *kit) {
	w := newWorld(k)
	away := row("k", "k1")
	away.Event.Topic = "nowhere"
	full := row("", "full")
	full.Event.Topic = "full"
	w.add(t, away, row("k", "k2"), full)
	keys := w.mix(t, 2, 5)
	w.bus.answer = func(e *bus.Event) (bool, error) {
		switch e.Topic {
		case "nowhere":
			return false, bus.ErrNoStream
		case "full":
			return false, bus.ErrUnavailable
		}
		return true, nil
	}
	d := w.start(t, &outbox.Options{Batch: 1}) // nothing else in a call tells that the bus is there
	w.awaitPublished(t, 15)
	w.await(t, "the topics waiting", func() bool { return d.Stats().Held == 2 })
	if s := d.Stats(); s.Outages != 0 || d.Healthy() == nil || !strings.Contains(d.Healthy().Error(), "nowhere") {
		t.Errorf("stats %+v, healthy: %v", s, d.Healthy())
	}
	if r := k.read(t, "k1"); r.Attempts != 0 || w.bus.has("k2") {
		t.Errorf("waiting: %+v; k2 published: %t", r, w.bus.has("k2"))
	}
	w.bus.answers(nil)
	w.awaitSent(t, 18, d)
	equal(t, "key k", w.bus.first("k"), []string{"k1", "k2"})
	w.bus.ordered(t, keys...)
	w.once(t)
	w.await(t, "its being healthy", func() bool { return d.Healthy() == nil }) // the store may stand still meanwhile
}

// topicEnds: no row is left by which a drainer could find out that a topic is back.
func topicEnds(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.answers(func(*bus.Event) (bool, error) { return false, bus.ErrNoStream })
	w.add(t, row("k", "a"))
	d := w.start(t, nil)
	w.await(t, "the topic waiting", func() bool { return d.Stats().Held == 1 })
	w.awaitCalls(t, d, pending, 10)
	if d.Healthy() == nil {
		t.Error("a topic waits, and the drainer is healthy")
	}
	n, err := w.admin.Drop(t.Context(), outbox.Filter{Key: "k", Status: outbox.Pending})
	w.did(t, "Drop", n, err, 1)
	w.await(t, "being healthy", func() bool { return d.Healthy() == nil && d.Stats().Held == 0 })
}

func neverAnswered(t *testing.T, k *kit) {
	w := newWorld(k)
	bad := row("", "0-bad")
	bad.Event.Topic = "silent"
	w.add(t, bad)
	w.bus.answer = func(e *bus.Event) (bool, error) {
		if e.Topic == "silent" {
			return false, errTimeout
		}
		return true, nil
	}
	d := w.start(t, &outbox.Options{Batch: 1, Publishers: 1}) // it has no company in its call
	keys := w.mix(t, 2, 20)
	w.awaitPublished(t, 60)
	w.bus.answers(nil)
	w.awaitSent(t, 61, d)
	w.bus.ordered(t, keys...)
}

func closes(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, row("k", "a"))
	w.bus.answer = func(*bus.Event) (bool, error) { return false, bus.ErrClosed }
	d := w.start(t, nil)
	w.await(t, "the drainer having ended", func() bool { return d.spy.count(release) > 0 })
	if err := d.stop(); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Run: %v; want ErrClosed", err)
	}
}

func deadHead(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, rowsOf("dead", w.h.Many)...)
	w.refusing("dead-000001", 1)
	d := w.start(t, &outbox.Options{Lease: long, MaxAttempts: 1, PollMin: time.Minute, PollMax: time.Hour}) // it looks when it is told
	w.await(t, "the head being dead", func() bool { return d.Stats().Dead == 1 })
	keys := w.mix(t, 5, 20)
	before := d.spy.count(pending)
	d.Notify()
	w.awaitPublished(t, 120)
	if pages := d.spy.count(pending) - before; pages > 6 {
		t.Errorf("to find %d others behind the rows of a key whose head is dead took %d pages", 120, pages)
	}
	if n := len(w.bus.first("dead")); n != 0 {
		t.Fatalf("%d rows behind the dead one were published", n)
	}
	n, err := w.admin.Retry(t.Context(), outbox.Filter{Key: "dead"})
	w.did(t, "Retry", n, err, 1)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	w.awaitSent(t, 120+w.h.Many, w.start(t, nil))
	w.bus.ordered(t, append(keys, "dead")...)
	w.once(t)
}

func goesOn(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, rowsOf("k", 20)...)
	w.refusing("k-000003", 1)
	d := w.start(t, &outbox.Options{MaxAttempts: 1, AfterDead: outbox.GoOn})
	w.awaitPublished(t, 19)
	w.await(t, "all being marked", func() bool { s := d.Stats(); return s.Dead == 1 && s.Rows == 0 })
	w.add(t, row("k", "k-000099"))
	d.Notify()
	w.awaitPublished(t, 20)
	w.bus.ordered(t, "k")
	w.once(t)
}
