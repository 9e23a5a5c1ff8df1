package benchmark

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/testing/natstest"
)

const (
	topic   = "order.placed"
	group   = "billing"
	payload = 256
	// perRound is how many events a round of a throughput benchmark handles; -benchtime says
	// how many rounds.
	perRound = 100_000
	// perMongoRound is the same where each event costs a round trip to MongoDB or two.
	perMongoRound = perRound / 5
)

// rig is a server with a stream of events of 256 bytes and ids of 36.
type rig struct {
	b     *testing.B
	nc    *nats.Conn
	bus   *natsbus.Bus
	round int

	buckets int // that keyValue has made
}

func newRig(b *testing.B) *rig {
	b.Helper()
	slog.SetLogLoggerLevel(slog.LevelError)
	r := &rig{b: b, nc: natstest.Start(b, nil).Connect(b)}
	var err error
	r.bus, err = natsbus.New(r.nc, nil)
	must(b, err)
	b.Cleanup(r.bus.Close)
	must(b, r.bus.Provision(b.Context(), topic))
	must(b, r.bus.Provision(b.Context(), "dead."+group))
	return r
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (r *rig) event(i int) bus.Event {
	return bus.Event{ID: fmt.Sprintf("0192f3a1-7c1e-7000-8000-%012d", i), Topic: topic, Data: make([]byte, payload)}
}

// fill publishes so many events, and is not measured.
func (r *rig) fill(events int) {
	r.b.Helper()
	es := make([]bus.Event, events)
	for i := range es {
		es[i] = r.event(i)
	}
	_, err := r.bus.Publish(r.b.Context(), es...)
	must(r.b, err)
}

// ours handles all events once with a handler that does nothing, and returns how long it took until
// all were marked and acknowledged. The drain afterwards, which waits up to a second for what the
// server may still send, does not count.
func (r *rig) ours(events, concurrency int, store dedupe.Store) time.Duration {
	r.b.Helper()
	return r.handle(topic, events, concurrency, store)
}

// handleWith is handle with more options.
func (r *rig) handleWith(topic string, events int, store dedupe.Store, o consumer.Options) time.Duration {
	r.b.Helper()
	return r.handleBy(func(context.Context, bus.Event) error { return nil }, topic, events, store, o)
}

// handleBy is handleWith with another handler.
func (r *rig) handleBy(h consumer.Handler, topic string, events int, store dedupe.Store, o consumer.Options) time.Duration {
	r.b.Helper()
	r.round++
	marked := &marks{want: events, done: make(chan struct{})}
	o.DeadLetter, o.Observer = "dead."+group, consumer.Observers(o.Observer, marked)
	start := time.Now()
	s, err := consumer.SubscribeExactlyOnce(r.b.Context(), r.bus, topic, fmt.Sprintf("%s-%d", group, r.round), store, h, &o)
	must(r.b, err)
	if o.Order.NumPartitions() > 0 { // what a process does when it starts is not measured
		s.Pause()
		r.awaitPartitions(s, o.Order.NumPartitions())
		start = time.Now()
		s.Resume()
	}
	<-marked.done
	must(r.b, r.nc.Flush())
	took := time.Since(start)
	must(r.b, s.Drain(context.Background()))
	if st := s.Stats(); st.Handled != uint64(events) {
		r.b.Errorf("handled %d of %d events: %+v", st.Handled, events, st)
	}
	return took
}

// awaitPartitions waits until a process owns so many partitions, and reads them.
func (r *rig) awaitPartitions(s *consumer.Subscription, n int) {
	r.b.Helper()
	for range 1000 {
		if len(s.Partitions()) == n && s.Healthy() == nil {
			time.Sleep(200 * time.Millisecond) // their cursors are being opened
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.b.Fatalf("%d of %d partitions are owned after 10 s: %v", len(s.Partitions()), n, s.Healthy())
}

// handle is ours for the events of any topic that the stream was made for.
func (r *rig) handle(topic string, events, concurrency int, store dedupe.Store) time.Duration {
	r.b.Helper()
	return r.handleWith(topic, events, store, consumer.Options{Concurrency: concurrency})
}

// marks counts what is marked and about to be acknowledged.
type marks struct {
	want, got int
	done      chan struct{}
}

// Observe implements consumer.Observer.
func (m *marks) Observe(o consumer.Observation) {
	if o.Outcome != consumer.OutcomeHandled {
		return // sent back: it is delivered again
	}
	if m.got++; m.got == m.want {
		close(m.done)
	}
}

// alone claims and marks as many events in batches of 500 with nothing else to do, and returns how
// long that took.
func (r *rig) alone(events int, store dedupe.Claimer) time.Duration {
	r.b.Helper()
	const batch = 500
	r.round++
	start := time.Now()
	for first := 0; first < events; first += batch {
		rs := make([]dedupe.Request, min(batch, events-first))
		for i := range rs {
			e := r.event(first + i)
			rs[i] = dedupe.Request{
				Key: dedupe.Key{Topic: topic, Group: fmt.Sprintf("alone-%d", r.round), ID: e.ID}, Nonce: fmt.Sprintf("alone-%d-%s", r.round, e.ID),
				Hash: consumer.Bytes(e), Lease: 30 * time.Second, TTL: 7 * 24 * time.Hour,
			}
		}
		cs, err := store.Claim(r.b.Context(), rs)
		must(r.b, err)
		ss := make([]dedupe.Settlement, len(cs))
		for i := range cs {
			ss[i] = dedupe.Settlement{Claim: cs[i], Outcome: dedupe.Succeeded, TTL: 7 * 24 * time.Hour}
		}
		errs, err := store.Settle(r.b.Context(), ss)
		must(r.b, errors.Join(append(errs, err)...))
	}
	return time.Since(start)
}

// rates collects pairs of measurements that were taken one after the other.
type rates struct {
	events         int
	ours, baseline time.Duration
}

func (r *rates) report(b *testing.B, baseline string) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(r.events)/r.ours.Seconds(), "events/s")
	b.ReportMetric(float64(r.events)/r.baseline.Seconds(), baseline+"/s")
	b.ReportMetric(r.baseline.Seconds()/r.ours.Seconds(), "x-of-"+baseline)
}
