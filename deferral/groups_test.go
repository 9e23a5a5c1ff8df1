package deferral_test

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/deferral"
)

// Two groups that keep deferred events on one topic leave each other's alone.
func TestGroupsMayShareATopicOfDeferredEvents(t *testing.T) {
	inBubble(t, func(w *world) {
		ctx, cancel := context.WithCancel(context.Background())
		sums := make(map[string][]string)
		open := func(group string, limit int) *worker {
			c := perMinute(limit)
			p, err := deferral.Open(ctx, w.bus, w.store, group, c, func(_ context.Context, _ string, es []bus.Event) error {
				w.mu.Lock()
				defer w.mu.Unlock()
				sums[group] = append(sums[group], ids(es)...)
				return nil
			}, &deferral.Options{Topic: "deferred", Logger: discard()})
			must(t, err)
			sub, err := p.Start(ctx)
			must(t, err)
			w.t.Cleanup(func() { cancel(); <-p.Done() })
			return &worker{Tracker: p, summaries: sub}
		}
		one, two, none := open("one", 1), open("two", 2), open("none", 9)
		time.Sleep(time.Second) // they have looked for what was left
		all := orders("a", 0, 4)
		for _, p := range []*worker{one, two, none} {
			for _, e := range all {
				_, err := p.Track(ctx, e)
				must(t, err)
			}
		}
		time.Sleep(2 * time.Minute)
		w.mu.Lock()
		wantIDs(t, "the summaries of the first group", sums["one"], ids(all[1:]))
		wantIDs(t, "the summaries of the second group", sums["two"], ids(all[2:]))
		wantIDs(t, "the summaries of the group that defers nothing", sums["none"], nil)
		w.mu.Unlock()
		for _, p := range []*worker{one, two, none} {
			wantNothingLeft(t, p)
			p.wantAllAcked(t)
		}
	})
}
