package deferral_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/group"
	memgroup "github.com/onceish/onceish/group/memory"
)

// hourly defers all but the first event of a key, for an hour.
func hourly() deferral.Config {
	c := perMinute(1)
	c.Interval = time.Hour
	return c
}

// deadHolder leaves the lease of the group's summaries to a process that has died: it is free once
// its row has expired.
func (w *world) deadHolder(store group.Store) {
	w.t.Helper()
	dead, err := group.Join(w.t.Context(), store, "billing", &group.Options{Logger: discard()})
	must(w.t, err)
	_, err = dead.Acquire(w.t.Context(), "deferral deferred.billing")
	must(w.t, err)
}

// workAsMember starts a worker that makes summaries only while it holds the lease.
func (w *world) workAsMember(store group.Store, c deferral.Config) *worker {
	w.t.Helper()
	s, err := group.Join(w.t.Context(), store, "billing", &group.Options{Logger: discard()})
	must(w.t, err)
	p := w.work(c, workerOptions{options: &deferral.Options{Session: s}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		_ = p.stop()
		cancel()
		must(w.t, <-ended)
	})
	return p
}

func newGroupStore(t testing.TB) *memgroup.Store {
	t.Helper()
	s, err := memgroup.New(nil)
	must(t, err)
	return s
}

// What is flushed while a dead process still holds the lease is summed up by the next one.
func TestAFlushOutlastsTheProcessThatMadeSummaries(t *testing.T) {
	inBubble(t, func(w *world) {
		store := newGroupStore(t)
		w.deadHolder(store)
		p := w.workAsMember(store, hourly())
		all := orders("a", 0, 3)
		w.publish(all...)
		time.Sleep(time.Second)
		must(t, deferral.Flush(w.t.Context(), w.bus, p.Topic()))
		time.Sleep(2 * store.TTL())
		if len(w.sums()) != 1 {
			t.Fatalf("summaries are %v, want one", w.sums())
		}
		wantIDs(t, "the summary", w.sums()[0].ids, ids(all[1:]))
		p.wantAllAcked(t)
	})
}

// What is done, and was not acked by a process that died, is acked by the next one, also when it
// starts before the dead one's lease is free.
func TestLeftoversOutlastTheProcessThatMadeSummaries(t *testing.T) {
	inBubble(t, func(w *world) {
		first := w.work(hourly(), workerOptions{})
		w.publish(orders("a", 0, 3)...)
		time.Sleep(time.Second)
		must(t, first.stop())
		waiting, err := deferral.List(w.t.Context(), w.bus, w.store, "billing", first.Topic())
		must(t, err)
		if d, err := deferral.Drop(w.t.Context(), w.store, "billing", first.Topic(), 0, waiting...); err != nil || d.Events != 2 {
			t.Fatalf("dropped %+v (%v), want 2 events", d, err)
		}

		store := newGroupStore(t)
		w.deadHolder(store)
		p := w.workAsMember(store, hourly())
		time.Sleep(2 * store.TTL())
		p.wantAllAcked(t)
	})
}

// A flush is for what was deferred before it: what is deferred after it has its whole interval,
// also in a process that reads the flush when it starts.
func TestAFlushIsForWhatWasDeferredBeforeIt(t *testing.T) {
	inBubble(t, func(w *world) {
		first := w.work(hourly(), workerOptions{})
		w.publish(orders("a", 0, 3)...)
		time.Sleep(time.Second)
		must(t, first.stop())
		must(t, deferral.Flush(w.t.Context(), w.bus, first.Topic()))
		store := newGroupStore(t)
		w.deadHolder(store)
		w.workAsMember(store, hourly())
		time.Sleep(time.Second)
		w.publish(orders("b", 0, 3)...)
		time.Sleep(30 * time.Minute)
		if sums := w.sums(); len(sums) != 1 || sums[0].key != "a" {
			t.Errorf("summaries are %v, want that of what was deferred before the flush", sums)
		}
	})
}
