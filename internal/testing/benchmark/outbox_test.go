package benchmark

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// perDrain is how many events a round of a drain benchmark publishes; of one key a tenth of that.
const perDrain = 100_000

// BenchmarkDrainMemory drains distinct keys from the outbox in memory, against raw asynchronous
// publishing with Nats-Msg-Id.
func BenchmarkDrainMemory(b *testing.B) {
	r := newRig(b)
	js, err := jetstream.New(r.nc)
	must(b, err)
	var sum rates
	for b.Loop() {
		sum.baseline += r.publishAsync(js, perDrain)
		sum.ours += r.drain(perDrain, func(i int) string { return fmt.Sprint("key-", i) })
		sum.events += perDrain
	}
	sum.report(b, "async-publish")
}

// BenchmarkDrainHotKeyMemory drains one key, whose events go one after the other, against
// synchronous publishing.
func BenchmarkDrainHotKeyMemory(b *testing.B) {
	const n = perDrain / 10
	r := newRig(b)
	js, err := jetstream.New(r.nc)
	must(b, err)
	var sum rates
	for b.Loop() {
		sum.baseline += r.publishSync(js, n)
		sum.ours += r.drain(n, func(int) string { return "hot" })
		sum.events += n
	}
	sum.report(b, "sync-publish")
}

func (r *rig) raw(i int) *nats.Msg {
	return &nats.Msg{
		Subject: topic, Data: make([]byte, payload), Header: nats.Header{nats.MsgIdHdr: {fmt.Sprintf("raw-%d-%032d", r.round, i)}},
	}
}

func (r *rig) publishAsync(js jetstream.JetStream, n int) time.Duration {
	r.b.Helper()
	r.round++
	start := time.Now()
	for i := range n {
		_, err := js.PublishMsgAsync(r.raw(i), jetstream.WithStallWait(time.Minute))
		must(r.b, err)
	}
	<-js.PublishAsyncComplete()
	return time.Since(start)
}

func (r *rig) publishSync(js jetstream.JetStream, n int) time.Duration {
	r.b.Helper()
	r.round++
	start := time.Now()
	for i := range n {
		_, err := js.PublishMsg(r.b.Context(), r.raw(i))
		must(r.b, err)
	}
	return time.Since(start)
}

// drain fills an outbox in memory, and returns how long it takes until all of it is
// published and marked.
func (r *rig) drain(n int, key func(i int) string) time.Duration {
	r.b.Helper()
	r.round++
	q, err := memoutbox.New(&memoutbox.Options{MaxSent: n})
	must(r.b, err)
	for i := range n {
		e := r.event(i)
		e.ID, e.Key = fmt.Sprintf("%d-%s", r.round, e.ID), key(i)
		_, err := q.Add(r.b.Context(), e)
		must(r.b, err)
	}
	return r.drainQueue(q, n)
}

// drainQueue returns how long it takes until n rows are published and marked.
func (r *rig) drainQueue(q outbox.Queue, n int) time.Duration {
	r.b.Helper()
	counted := &marked{Queue: q, want: n, done: make(chan struct{})}
	d, err := outbox.NewDrainer(counted, r.bus, nil)
	must(r.b, err)
	ctx, cancel := context.WithCancel(r.b.Context())
	ended := make(chan error)
	start := time.Now()
	go func() { ended <- d.Run(ctx) }()
	<-counted.done
	took := time.Since(start)
	cancel()
	must(r.b, <-ended)
	if s := d.Stats(); s.Sent != uint64(n) || s.Duplicates != 0 {
		r.b.Errorf("of %d events: %+v", n, s)
	}
	return took
}

// marked counts what is marked.
type marked struct {
	outbox.Queue

	want int
	done chan struct{}
}

// Settle implements outbox.Queue. A drainer makes one call at a time.
func (m *marked) Settle(ctx context.Context, rs []outbox.Result) ([]bool, error) {
	oks, err := m.Queue.Settle(ctx, rs)
	if m.want -= len(rs); m.want == 0 {
		close(m.done)
	}
	return oks, err
}

// BenchmarkNotifyLatency is the time from adding an event to its being on the bus, with a drainer
// that is woken, at 500 events a second.
func BenchmarkNotifyLatency(b *testing.B) {
	r := newRig(b)
	q, err := memoutbox.New(nil)
	must(b, err)
	got := &delays{}
	d, err := outbox.NewDrainer(q, stamped{r.bus, got}, nil)
	must(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	ticker := time.NewTicker(time.Second / perSecond)
	defer ticker.Stop()
	sent := 0
	for b.Loop() {
		for range perSecond {
			<-ticker.C
			e := r.event(sent)
			stamp(e.Data)
			_, err := q.Add(b.Context(), e)
			must(b, err)
			sent++
		}
	}
	got.await(sent)
	cancel()
	must(b, <-ended)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(got.p99()), "p99-ms")
	b.ReportMetric(milliseconds(got.took[len(got.took)/2]), "median-ms")
}

// stamped notes how long events took until they were confirmed.
type stamped struct {
	bus.Publisher

	got *delays
}

// Publish implements bus.Publisher.
func (s stamped) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts, err := s.Publisher.Publish(ctx, events...)
	for i := range events {
		s.got.add(events[i].Data)
	}
	return receipts, err
}
