package acceptance

import (
	"context"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
	"github.com/onceish/onceish/worker"
)

// TestDrainersArePausedWithTheirGroup, and by a pause of the outbox alone, which leaves the
// subscriptions as they are; they publish after the resume, and in order.
func TestDrainersArePausedWithTheirGroup(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]string{"the group": "", "its outbox": group.Outbox} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			store := r.expireMembers(shortTTL)
			q, err := memoutbox.New(nil)
			must(t, err)
			w := r.join("", func(w *worker.Worker) {
				w.Handle("order.placed", func(context.Context, bus.Event) error { return nil }, nil)
				_, err := w.AddDrainer(q, &outbox.Options{Batch: 7})
				must(t, err)
			})
			add := func(from, n int) {
				t.Helper()
				_, err := q.Add(t.Context(), rows(from, n)...)
				must(t, err)
			}
			count := func() outbox.Counts {
				t.Helper()
				c, err := q.Count(t.Context())
				must(t, err)
				return c
			}
			add(0, 500)
			r.eventually("rows are published", func() bool { return count().Sent > 0 })
			_, err = w.conns.PauseGroup(t.Context(), "billing", group.Request{Topic: topic})
			must(t, err)
			add(500, 500)
			awaitQuiet(r, func() int { return len(r.ids("order.placed")) })
			before := len(r.ids("order.placed"))
			r.awaitState(store, group.Outbox, "paused")
			r.holds(store, 0) // for a while
			if after := len(r.ids("order.placed")); after != before || count().Pending == 0 {
				t.Errorf("%d rows were published in the pause; %+v", after-before, count())
			}
			if topic == group.Outbox {
				r.awaitState(store, "order.placed", "running")
			}
			_, err = w.conns.ResumeGroup(t.Context(), "billing", group.Request{Topic: topic})
			must(t, err)
			r.eventually("all rows are published", func() bool { return count().Pending == 0 })
			w.drain()
			r.inOrder(1000, 1)
		})
	}
}

// awaitQuiet waits until what was on its way has arrived.
func awaitQuiet(r *rig, n func() int) {
	r.t.Helper()
	last := -1
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		now := n()
		if now == last {
			return
		}
		last = now
		time.Sleep(200 * time.Millisecond) // what is on its way is a matter of time
	}
}
