package acceptance

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// TestLockedDownConsumer: a user that may make and change nothing, on a consumer and a bucket that
// an administrator has made.
func TestLockedDownConsumer(t *testing.T) {
	t.Parallel()
	stream, dead, durable := natsbus.StreamName("order.placed"), natsbus.StreamName("dead.billing"), natsbus.ConsumerName("billing", "order.placed")
	onStoresOf(t, func(t *testing.T) *rig {
		t.Helper()
		server := natstest.Start(t, func(o *server.Options) {
			o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "worker", Password: "x", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{
					"$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO." + stream, "$JS.API.STREAM.INFO." + dead,
					"$JS.API.CONSUMER.INFO." + stream + "." + durable, "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + durable,
					"$JS.API.CONSUMER.INFO." + dead + "." + natsbus.ConsumerName("billing", "dead.billing"),
					"$JS.ACK." + stream + "." + durable + ".>", "dead.billing",
					"$JS.API.STREAM.INFO.KV_marks", "$JS.API.STREAM.MSG.GET.KV_marks", "$KV.marks.>",
				}},
				Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
			}}}
		})
		r := rigOn(t, server.URL(), nil, nats.UserInfo("admin", "x"))
		r.server = server
		return r
	}, func(r *rig) {
		made := jetstream.ConsumerConfig{
			Durable: durable, FilterSubject: "order.placed", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 10 * time.Second,
			MaxDeliver: -1, MaxAckPending: 100, MaxRequestBatch: 10,
		}
		_, err := r.js().CreateConsumer(r.t.Context(), stream, made)
		must(r.t, err)
		if r.mongo == "" {
			store, err := kvdedupe.New(r.t.Context(), r.nc, &kvdedupe.Options{Bucket: "marks"})
			must(r.t, err)
			must(r.t, store.Close())
		}
		anyOther := consumer.Options{AckWait: 30 * time.Second, Lease: 10 * time.Second} // The administrator's ack wait holds.
		s := r.subscribe(setup{
			Connect: []nats.Option{nats.UserInfo("worker", "x")}, Bus: &natsbus.Options{BindOnly: true},
			KV: &kvdedupe.Options{Bucket: "marks", BindOnly: true}, Options: anyOther,
		})
		r.publish(many("event-", 300, "effect")...)
		r.publish(many("slow-", 4, "effect", "12s")...)
		r.publish(event("dead", "permanent"))
		r.settled()
		if err := s.Healthy(); err != nil {
			r.t.Error(err)
		}
		r.ended(s)
		r.once("event-", 300)
		r.once("slow-", 4)
		if n := len(r.letters()); n != 1 {
			r.t.Errorf("%d letters", n)
		}
		info := r.consumer("billing", "order.placed")
		if c := info.Config; c.AckWait != made.AckWait || c.MaxAckPending != made.MaxAckPending || c.MaxRequestBatch != made.MaxRequestBatch {
			r.t.Errorf("the administrator's consumer was changed: %+v", c)
		}
		if info.Delivered.Consumer != 305 {
			r.t.Errorf("%d deliveries of 305 events", info.Delivered.Consumer)
		}
	})
}
