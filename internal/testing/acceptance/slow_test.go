package acceptance

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/faulty"
)

// TestLostAcks: the redelivery finds the mark.
func TestLostAcks(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		var acks atomic.Int64
		loses := func(c faulty.Call) faulty.Fault {
			if c == faulty.Ack && acks.Add(1) <= 50 {
				return faulty.Fault{Before: errors.New("lost")}
			}
			return faulty.Fault{}
		}
		// Nothing else is redelivered: the deadline is longer than any hiccup.
		o := consumer.Options{Lease: 15 * time.Second, AckWait: 15 * time.Second}
		s := r.subscribe(setup{Plan: loses, Options: o})
		r.publish(many("event-", 100, "effect")...)
		r.settled()
		r.ended(s)
		r.once("event-", 100)
		if st := s.Stats(); st.Handled != 100 || st.Duplicates != 50 {
			r.t.Errorf("%+v: 50 duplicates should have been recognised", st)
		}
	})
}

// TestHandlerSlowerThanTheAckDeadline: the bus is told that it is being worked on, and delivers
// nothing again.
func TestHandlerSlowerThanTheAckDeadline(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		s := r.subscribe(setup{Options: consumer.Options{AckWait: 5 * time.Second, Lease: 5 * time.Second}})
		r.publish(many("slow-", 8, "effect", "12s")...)
		r.settled()
		r.ended(s)
		r.once("slow-", 8)
		if n := r.consumer("billing", "order.placed").Delivered.Consumer; n != 8 {
			r.t.Errorf("%d deliveries of 8 events", n)
		}
	})
}

// TestHandlerThatIgnoresItsContext: its run counts as failed at the run limit, it is not run beside
// itself, others go on meanwhile, and it is told who does not return.
func TestHandlerThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		release := make(chan struct{})
		var running, most atomic.Int64
		s := r.subscribe(setup{
			Options: consumer.Options{RunLimit: 500 * time.Millisecond},
			Handler: func(ctx context.Context, e bus.Event) error {
				if e.ID == "stubborn" {
					most.Store(max(most.Load(), running.Add(1)))
					defer running.Add(-1)
					r.ledger.say("stuck", "local", e.ID)
					<-release
				}
				return perform(ctx, e, "local", r.ledger.say)
			},
		})
		r.publish(event("stubborn", "effect"))
		r.eventually("it says that a handler does not return", func() bool {
			err := s.Healthy()
			return err != nil && strings.Contains(err.Error(), "1 handlers did not return at the run limit of 500ms")
		})
		r.publish(many("event-", 50, "effect")...)
		for _, e := range many("event-", 50) {
			r.ledger.await(r.t, 1, "effect", "", e.ID)
		}
		r.eventually("it has come again", func() bool { return s.Stats().Held > 0 || r.ledger.count("stuck", "", "") > 1 })
		if n := r.ledger.count("stuck", "", ""); n != 1 {
			r.t.Errorf("%d runs before the first one returned", n)
		}
		close(release)
		r.settled()
		r.ended(s)
		r.once("event-", 50)
		if n := r.effects("stubborn")["stubborn"]; n != 2 || most.Load() != 1 {
			r.t.Errorf("%d runs, %d at once; the first failed at its limit", n, most.Load())
		}
	})
}
