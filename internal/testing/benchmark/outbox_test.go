package benchmark

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/outbox"
	memoutbox "github.com/onceish/onceish/outbox/memory"
)

// perDrain is how many events of one key a round of a drain benchmark publishes.
const perDrain = 10_000

// BenchmarkDrainHotKeyMemory drains one key, whose events go one after the other, against
// synchronous publishing.
func BenchmarkDrainHotKeyMemory(b *testing.B) {
	const n = perDrain
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
