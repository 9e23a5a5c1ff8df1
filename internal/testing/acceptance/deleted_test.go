package acceptance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// TestConsumerDeletedAfterEveryMarkExpired: the watermark alone knows where the group was, while it
// runs and when it starts again.
func TestConsumerDeletedAfterEveryMarkExpired(t *testing.T) {
	t.Parallel()
	onStores(t, func(r *rig) {
		brief := setup{Options: consumer.Options{
			Lease: hiccup, AckWait: hiccup, RunLimit: hiccup, TTL: 4 * hiccup,
			Backoff: consumer.Backoff{Base: 10 * time.Millisecond, Max: 500 * time.Millisecond},
		}}
		s := r.subscribe(brief)
		r.publish(many("first-", 100, "effect")...)
		r.settled()
		r.forgotten(s, "first-", 100, 100)
		r.deleteConsumer()
		r.publish(many("second-", 50, "effect")...)
		r.ledger.await(r.t, 150, "effect", "", "")
		r.settled()
		r.ended(s)
		r.wentOn(100)
		r.forgotten(s, "second-", 50, 150)
		r.deleteConsumer()
		r.publish(many("third-", 50, "effect")...)
		s = r.subscribe(brief)
		r.ledger.await(r.t, 200, "effect", "", "")
		r.settled()
		r.ended(s)
		r.wentOn(150)
		r.once("first-", 100)
		r.once("second-", 50)
		r.once("third-", 50)
		if n := r.ledger.count("start", "", ""); n != 200 {
			r.t.Errorf("%d runs of 200 events", n)
		}
	})
}

// forgotten waits until no mark is left, and the watermark is where the group is.
func (r *rig) forgotten(s *local, prefix string, n int, sequence uint64) {
	r.t.Helper()
	var keys []dedupe.Key
	for _, e := range many(prefix, n) {
		keys = append(keys, dedupe.Key{Topic: e.Topic, Group: "billing", ID: e.ID})
	}
	r.eventually("every mark has expired", func() bool {
		records, err := s.store.Seen(r.t.Context(), keys)
		must(r.t, err)
		for _, record := range records {
			if record.State != dedupe.Fresh {
				return false
			}
		}
		return true
	})
	info, err := r.bus.Topic(r.t.Context(), "order.placed", "billing", bus.Start{})
	must(r.t, err)
	r.eventually("the watermark has advanced", func() bool {
		at, err := s.store.Begin(r.t.Context(), "billing", "order.placed", dedupe.Watermark{Position: dedupe.Position(info.Start)})
		must(r.t, err)
		return at.Sequence == sequence
	})
}

// wentOn checks that the new consumer begins where the group was, or a few events before.
func (r *rig) wentOn(handled uint64) {
	r.t.Helper()
	if start := r.consumer("billing", "order.placed").Config.OptStartSeq; start+20 < handled || start > handled+1 {
		r.t.Errorf("the new consumer begins at sequence %d, and the group had handled %d", start, handled)
	}
}

func (r *rig) deleteConsumer() {
	r.t.Helper()
	js := r.js()
	r.eventually("the consumer is deleted", func() bool {
		ctx, cancel := context.WithTimeout(r.t.Context(), answer)
		defer cancel()
		err := js.DeleteConsumer(ctx, natsbus.StreamName("order.placed"), natsbus.ConsumerName("billing", "order.placed"))
		return err == nil || errors.Is(err, jetstream.ErrConsumerNotFound)
	})
}
