package acceptance

import (
	"strings"
	"testing"
	"time"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// outage is a way in which a connection goes bad, and good again.
type outage struct{ begin, end func(*proxy.Proxy) }

func hole(d proxy.Direction) outage {
	return outage{
		func(p *proxy.Proxy) { p.Blackhole(d, true) },
		func(p *proxy.Proxy) { p.Blackhole(d, false) },
	}
}

func refusal(cut func(*proxy.Proxy)) outage {
	return outage{
		func(p *proxy.Proxy) { p.Refuse(true); cut(p) },
		func(p *proxy.Proxy) { p.Refuse(false) },
	}
}

func lag(by time.Duration) outage {
	return outage{
		func(p *proxy.Proxy) { p.Delay(proxy.ToClient, by) },
		func(p *proxy.Proxy) { p.Delay(proxy.ToClient, 0) },
	}
}

// TestMongoDBOutOfReach for longer than a lease: running handlers are told that their lease is
// lost; nothing else runs twice.
func TestMongoDBOutOfReach(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outage{
		"refuses connections":                 refusal((*proxy.Proxy).Cut),
		"resets connections":                  refusal((*proxy.Proxy).Reset),
		"hears nothing":                       hole(proxy.ToServer),
		"writes, and its answers get lost":    hole(proxy.ToClient),
		"answers when the lease is long over": lag(1500 * time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.mongo, r.db = mongotest.URI(t), mongotest.Database(t).Name()
			p, uri := proxied(t, r.mongo)
			s := r.subscribe(setup{Mongo: uri})
			r.publish(many("before-", 50, "effect")...)
			r.settled()
			r.publish(many("running-", 4, "effect", "3s")...)
			r.ledger.await(t, 50+4, "effect", "", "")
			o.begin(p)
			r.publish(many("meanwhile-", 50, "effect")...)
			for _, e := range many("running-", 4) {
				r.ledger.await(t, 1, "cancelled", "", e.ID)
			}
			r.eventually("it says that the store does not answer", func() bool {
				err := s.Healthy()
				return err != nil && strings.Contains(err.Error(), "the dedupe store does not answer")
			})
			o.end(p)
			r.settled()
			r.eventually("it is healthy", func() bool { return s.Healthy() == nil })
			r.ended(s)
			r.once("before-", 50)
			r.once("meanwhile-", 50)
			r.onceAnd("running-", 4)
		})
	}
}

// TestMongoDBSlow but faster than a lease: nothing is lost, repeated or cancelled.
func TestMongoDBSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mongo, r.db = mongotest.URI(t), mongotest.Database(t).Name()
	p, uri := proxied(t, r.mongo)
	// A renewal may take a quarter of the lease: that has to be far more than the lag, for the
	// machine adds to that.
	s := r.subscribe(setup{Mongo: uri, Options: consumer.Options{Lease: 15 * time.Second}})
	lag(300 * time.Millisecond).begin(p)
	r.publish(many("slow-", 4, "effect", "16s")...)
	r.publish(many("event-", 300, "effect")...)
	r.settled()
	r.ended(s)
	r.once("slow-", 4)
	r.once("event-", 300)
	if n := r.ledger.count("cancelled", "", ""); n > 0 {
		t.Errorf("%d handlers were cancelled", n)
	}
}

// TestNATSOutOfReach for longer than the ack deadline. With the marks on the same server, running
// handlers lose their lease as well.
func TestNATSOutOfReach(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]outage{
		"refuses connections": refusal((*proxy.Proxy).Cut),
		"resets connections":  refusal((*proxy.Proxy).Reset),
		"hears nothing":       hole(proxy.ToServer),
		"is not heard":        hole(proxy.ToClient),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStores(t, func(r *rig) {
				p, url := proxied(t, r.url)
				s := r.subscribe(setup{NATS: url, Bus: &natsbus.Options{APITimeout: time.Second, CheckInterval: time.Second}})
				r.publish(many("before-", 50, "effect")...)
				r.settled()
				r.publish(many("running-", 4, "effect", "1500ms")...)
				r.ledger.await(t, 50+4, "effect", "", "")
				o.begin(p)
				r.publish(many("meanwhile-", 50, "effect")...)
				r.eventually("it is not healthy", func() bool { return s.Healthy() != nil })
				r.eventually("all that ran has ended", func() bool {
					return r.ledger.count("end", "", "")+r.ledger.count("cancelled", "", "") >= 50+4
				})
				o.end(p)
				r.settled()
				r.eventually("it is healthy", func() bool { return s.Healthy() == nil })
				r.ended(s)
				r.once("before-", 50)
				r.once("meanwhile-", 50)
				r.onceAnd("running-", 4)
			})
		})
	}
}
