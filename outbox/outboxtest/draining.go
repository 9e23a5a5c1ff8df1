package outboxtest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// draining is what a drainer does while all is well.
func draining(able *kit) []promise {
	return []promise{
		{name: "Drainer/publishes all once, in order per key", keeps: drains},
		{name: "Drainer/two share the work", keeps: drainsTogether},
		{name: "Drainer/a hot key starves nobody", keeps: drainsHotKey},
		{name: "Drainer/many keys", keeps: drainsManyKeys},
		{name: "Drainer/ends in order, and others go on at once", keeps: handsOver},
		{name: "Drainer/memory is bounded", keeps: drainsInBounds},
		{name: "Drainer/what is republished is another copy of the same event", keeps: drainsCopies, unless: able.admin == nil},
		{name: "Drainer/what commits late is published", keeps: drainsLate, unless: able.s.Late == nil},
	}
}

func drains(t *testing.T, k *kit) {
	w := newWorld(k)
	keys := w.mix(t, 5, 40)
	d := w.start(t, nil)
	w.awaitSent(t, 240, d)
	more := w.mixMore(t, keys, 40, 80)
	w.awaitSent(t, 240+more, d)
	w.bus.ordered(t, keys...)
	w.once(t)
	if s := d.Stats(); s.Sent != 480 || s.Rows != 0 || s.Bytes != 0 || s.Partitions != Partitions {
		t.Errorf("stats %+v", s)
	}
	w.await(t, "its being healthy", func() bool { return d.Healthy() == nil }) // the store may stand still meanwhile
}

// mixMore adds rows from one number to before another to keys that have some, and tells how many.
func (w *world) mixMore(t *testing.T, keys []string, from, to int) (n int) {
	t.Helper()
	for i := from; i < to; i++ {
		rows := []outbox.Row{row("", fmt.Sprintf("none-%06d", i))}
		for _, key := range keys {
			rows = append(rows, row(key, fmt.Sprintf("%s-%06d", key, i)))
		}
		w.add(t, rows...)
		n += len(rows)
	}
	return n
}

func drainsTogether(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = time.Millisecond
	a := w.start(t, nil)
	keys := w.mix(t, 20, 10)
	b := w.start(t, nil)
	halves := func() bool {
		x, y := a.Stats(), b.Stats()
		return x.Partitions == Partitions/2 && y.Partitions == Partitions/2 && x.Ending+y.Ending == 0
	}
	w.await(t, "both having half of the partitions", halves)
	n := w.mixMore(t, keys, 10, 30)
	w.awaitSent(t, 210+n, a, b)
	w.bus.ordered(t, keys...)
	w.once(t)
	if x, y := a.Stats(), b.Stats(); x.Sent == 0 || y.Sent == 0 || x.Fenced+y.Fenced != 0 && !w.stoodStill(t) {
		t.Errorf("stats %+v and %+v", x, y)
	}
}

func drainsHotKey(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = time.Millisecond // for each of the hot key, for hundreds of the others
	hot := rowsOf("hot", w.h.Many)
	w.add(t, hot...)
	w.add(t, rowsOf("", w.h.Many)...)
	d := w.start(t, nil)
	at := 0
	w.await(t, "all of the others being published", func() bool {
		at = w.bus.publishedOf("hot")
		return w.bus.publishedOf("") == w.h.Many
	})
	if at > w.h.Many/2 {
		t.Errorf("%d of the hot key were published before all others", at)
	}
	w.awaitSent(t, 2*w.h.Many, d)
	w.bus.ordered(t, "hot")
	w.once(t)
}

func drainsManyKeys(t *testing.T, k *kit) {
	w := newWorld(k)
	rows := make([]outbox.Row, w.h.Many)
	for i := range rows {
		rows[i] = row(fmt.Sprint("key", i), fmt.Sprint("id", i))
	}
	w.add(t, rows...)
	d := w.start(t, nil)
	w.awaitSent(t, len(rows), d)
	w.once(t)
}

func handsOver(t *testing.T, k *kit) {
	w := newWorld(k)
	w.bus.delay = time.Millisecond
	keys := w.mix(t, 3, 50)
	a := w.start(t, &outbox.Options{Lease: long, Batch: 1, Publishers: 1})
	w.awaitPublished(t, 50)
	if err := a.stop(); err != nil {
		t.Fatalf("Run: %v", err)
	}
	if err := a.Healthy(); err == nil {
		t.Error("a drainer that has ended is healthy")
	}
	b := w.start(t, &outbox.Options{Lease: long})
	w.awaitSent(t, 200, b)
	w.bus.ordered(t, keys...)
	w.once(t)
	if err := a.Run(t.Context()); err == nil {
		t.Error("Run again: no error")
	}
}

func drainsInBounds(t *testing.T, k *kit) {
	w := newWorld(k)
	rows := make([]outbox.Row, 200)
	for i := range rows {
		rows[i] = row(fmt.Sprint("key", i%50), fmt.Sprintf("%06d", i))
		rows[i].Event.Data = make([]byte, 5_000)
	}
	w.add(t, rows...)
	var d *drainer
	var most atomic.Int64
	started := make(chan struct{})
	w.bus.answer = func(*bus.Event) (bool, error) {
		<-started
		s := d.Stats()
		most.Store(max(most.Load(), int64(s.Bytes)))
		return true, nil
	}
	d = w.start(t, &outbox.Options{MaxBytes: 100_000, MaxRows: 100})
	close(started)
	w.awaitSent(t, len(rows), d)
	if n := most.Load(); n < 6_000 || n > 110_000 {
		t.Errorf("%d bytes of rows in memory; the bound is 100,000, and a row has 5,000", n)
	}
	w.once(t)
}

func drainsLate(t *testing.T, k *kit) {
	w := newWorld(k)
	commit := k.s.Late(t, row("k", "early"))
	w.add(t, row("k", "later"))
	d := w.start(t, nil)
	w.awaitSent(t, 1, d)
	commit(t)
	w.awaitSent(t, 2, d)
	w.once(t)
}

// drainsCopies: a bus may know the id of what it has lost.
func drainsCopies(t *testing.T, k *kit) {
	w := newWorld(k)
	w.add(t, rowsOf("k", 2)...)
	messages := map[string]int{}
	w.bus.answer = func(e *bus.Event) (bool, error) {
		messages[bus.MessageID(e)]++
		return messages[bus.MessageID(e)]%2 == 0, map[bool]error{true: errTimeout}[messages[bus.MessageID(e)] == 1]
	}
	d := w.start(t, nil)
	for copies := range 3 {
		w.await(t, "all being marked", func() bool { return d.Stats().Sent == uint64(2*(copies+1)) })
		n, err := w.admin.Republish(t.Context(), ">", outbox.Moment{}, outbox.Moment{})
		w.did(t, "Republish", n, err, 2)
		d.Notify()
	}
	w.await(t, "all being marked", func() bool { return d.Stats().Sent == 8 })
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if len(messages) != 8 {
		t.Errorf("%d messages of 2 events and 3 copies of each", len(messages))
	}
	for id, n := range messages {
		if n != 2 {
			t.Errorf("%s was published %d times; its first confirmation was lost", id, n)
		}
	}
}
