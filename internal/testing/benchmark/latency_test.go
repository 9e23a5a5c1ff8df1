package benchmark

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	mongodedupe "github.com/onceish/onceish/dedupe/mongo"
	"github.com/onceish/onceish/internal/testing/mongotest"
)

// perSecond is the rate at which latency is measured.
const perSecond = 500

// BenchmarkLatencyMemory: from publishing to the start of the handler, over what nats.go's own
// Consume takes.
func BenchmarkLatencyMemory(b *testing.B) {
	store, err := memdedupe.New(nil)
	must(b, err)
	latency(b, store)
}

// BenchmarkLatencyMongo is the same on MongoDB.
func BenchmarkLatencyMongo(b *testing.B) {
	store, err := mongodedupe.New(b.Context(), mongotest.Collection(b), nil)
	must(b, err)
	latency(b, store)
}

// latency publishes 500 events a second, a second's worth per round, to a plain consumer and to
// ours at once.
func latency(b *testing.B, store dedupe.Store) {
	r := newRig(b)
	var plain, ours delays
	js, err := jetstream.New(r.nc)
	must(b, err)
	c, err := js.CreateConsumer(b.Context(), natsbus.StreamName(topic), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	must(b, err)
	cc, err := c.Consume(func(m jetstream.Msg) {
		plain.add(m.Data())
		_ = m.Ack() // the delay is what counts
	})
	must(b, err)
	s, err := consumer.SubscribeExactlyOnce(b.Context(), r.bus, topic, group, store, func(_ context.Context, e bus.Event) error {
		ours.add(e.Data)
		return nil
	}, nil)
	must(b, err)
	sent := 0
	ticker := time.NewTicker(time.Second / perSecond)
	defer ticker.Stop()
	for b.Loop() {
		for range perSecond {
			<-ticker.C
			e := r.event(sent)
			stamp(e.Data)
			_, err := r.bus.Publish(b.Context(), e)
			must(b, err)
			sent++
		}
	}
	plain.await(sent)
	ours.await(sent)
	cc.Stop()
	<-cc.Closed()
	must(b, s.Drain(context.Background()))
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(ours.p99()), "p99-ms")
	b.ReportMetric(milliseconds(plain.p99()), "consume-p99-ms")
	b.ReportMetric(milliseconds(ours.p99()-plain.p99()), "added-p99-ms")
}

// stamp writes the time into an event's data.
func stamp(data []byte) { binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano())) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// delays are how long events took, by the time in their data.
type delays struct {
	mu    sync.Mutex
	took  []time.Duration
	added sync.Cond
}

func (d *delays) add(data []byte) {
	took := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(data))))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.took = append(d.took, took)
	if d.added.L != nil {
		d.added.Signal()
	}
}

func (d *delays) await(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.added.L = &d.mu
	for len(d.took) < n {
		d.added.Wait()
	}
}

func (d *delays) p99() time.Duration {
	slices.Sort(d.took)
	return d.took[len(d.took)*99/100]
}
