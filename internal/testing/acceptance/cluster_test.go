package acceptance

import (
	"testing"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestLeaderChangesUnderLoad: the leaders of stream, consumer and bucket step down, one after the
// other, while events are published and handled.
func TestLeaderChangesUnderLoad(t *testing.T) {
	t.Parallel()
	onStoresOf(t, func(t *testing.T) *rig {
		t.Helper()
		return rigOn(t, natstest.StartCluster(t, nil).URL(), &natsbus.Provision{Replicas: 3})
	}, func(r *rig) {
		stream, group := natsbus.StreamName("order.placed"), natsbus.ConsumerName("billing", "order.placed")
		s := r.subscribe(setup{
			KV: &kvdedupe.Options{Replicas: 3}, Options: longLeases,
		})
		wait := r.load(many("event-", 1500, "effect", "5ms"))
		for i, leader := range []struct{ stream, consumer string }{
			{stream, ""}, {stream, group}, {"KV_" + kvdedupe.DefaultBucket, ""}, {stream, group},
		} {
			if r.mongo != "" && leader.stream != stream {
				continue
			}
			r.ledger.await(r.t, 200*(i+1), "effect", "", "")
			natstest.StepDown(r.t, r.nc, leader.stream, leader.consumer)
		}
		wait()
		r.settled()
		r.ended(s)
		r.once("event-", 1500)
	})
}
