package acceptance

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
)

// TestEventsInBackoffHoldUpNobody: a thousand events wait for their next attempt, and fresh
// ones are handled.
func TestEventsInBackoffHoldUpNobody(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		s := r.subscribe(setup{Options: longLeases})
		r.publish(many("failing-", 1000, "retry later")...)
		r.eventually("all have failed", func() bool { return s.Stats().Failed == 1000 })
		r.publish(many("fresh-", 200, "effect")...)
		r.ledger.await(r.t, 200, "effect", "", "")
		r.ended(s)
		r.once("fresh-", 200)
		if n := r.ledger.count("start", "", ""); n != 1200 {
			r.t.Errorf("%d runs: those in backoff are not due yet", n)
		}
	})
}

// TestEverythingPublishedThreeTimes under message ids of their own, to two workers: the copies
// choke nobody.
func TestEverythingPublishedThreeTimes(t *testing.T) {
	t.Parallel()
	const n = 1500
	onStores(t, func(r *rig) {
		o := longLeases
		o.Concurrency = 32
		one, other := r.subscribe(setup{Name: "one", Options: o}), r.subscribe(setup{Name: "other", Options: o})
		began := time.Now()
		r.publish(many("plain-", n, "effect", "100ms")...)
		r.settled()
		plain := time.Since(began)
		before := r.consumer("billing", "order.placed").Delivered.Consumer
		var es []bus.Event
		for block := range slices.Chunk(many("thrice-", n, "effect", "100ms"), 40) { // so that copies go to different workers
			for i := range 3 {
				for _, e := range block {
					es = append(es, e.WithControl(bus.Control{Redriven: fmt.Sprint(i)}))
				}
			}
		}
		began = time.Now()
		r.publish(es...)
		r.settled()
		thrice := time.Since(began)
		deliveries := r.consumer("billing", "order.placed").Delivered.Consumer - before
		r.t.Logf("%d events took %v; three copies of each took %v and %d deliveries", n, plain, thrice, deliveries)
		r.ended(one)
		r.ended(other)
		r.once("plain-", n)
		r.once("thrice-", n)
		if deliveries > (3+2*3)*n { // two copies come back three times while the other one runs: after 50, 100 and 200 ms
			r.t.Errorf("%d deliveries of %d messages", deliveries, 3*n)
		}
	})
}
