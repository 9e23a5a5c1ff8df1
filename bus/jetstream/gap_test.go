package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// ownerReader reads a topic as the owner of a partition does: alone, and from the lowest unsettled
// event each time that its cursor is lost.
type ownerReader struct {
	bus        bus.Bus
	src        bus.Source
	contiguous uint64 // all events up to this sequence were handed out
	handedOut  atomic.Int64
	rewinds    atomic.Int64
}

// startOwner starts a reader, and a publisher that keeps it busy. wait returns once n more
// deliveries were handed out, and stop once everything published was.
func startOwner(t *testing.T, publisher, reader bus.Bus) (o *ownerReader, wait func(n int64), stop func()) {
	t.Helper()
	o = &ownerReader{bus: reader}
	publishing, stopPublishing := context.WithCancel(context.Background())
	reading, stopReading := context.WithCancel(context.Background())
	var published atomic.Uint64
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		publishInBatches(publishing, t, publisher, func(last uint64) bool {
			published.Store(last)
			return last < uint64(o.handedOut.Load())+1000 // #nosec G115 -- not negative
		})
	}()
	go func() {
		defer close(finished)
		o.read(reading, t, func() bool { return publishing.Err() != nil && o.contiguous >= published.Load() })
	}()
	wait = func(n int64) {
		t.Helper()
		n += o.handedOut.Load()
		eventually(t, "more deliveries", func() bool { return o.handedOut.Load() >= n })
	}
	stop = func() {
		t.Helper()
		stopPublishing()
		<-done
		select {
		case <-finished:
		case <-time.After(fetchTimeout):
			t.Error("what was published was not all handed out")
		}
		stopReading()
		<-finished
	}
	return o, wait, stop
}

// publishInBatches publishes until ctx ends, as long as another batch is wanted.
func publishInBatches(ctx context.Context, t *testing.T, p bus.Publisher, more func(last uint64) bool) {
	var last uint64
	for i := 0; ctx.Err() == nil; {
		if !more(last) {
			time.Sleep(time.Millisecond)
			continue
		}
		events := make([]bus.Event, 50)
		for j := range events {
			i++
			events[j] = bus.Event{ID: fmt.Sprint(i), Topic: topic}
		}
		receipts, err := p.Publish(context.WithoutCancel(ctx), events...)
		for limit := time.Now().Add(2 * fetchTimeout); err != nil; receipts, err = p.Publish(context.WithoutCancel(ctx), events...) {
			if time.Now().After(limit) {
				t.Errorf("Publish: %v", err)
				return
			}
		}
		last = receipts[len(receipts)-1].Sequence
	}
	more(last)
}

// read hands out deliveries until it is complete, or ctx ends.
func (o *ownerReader) read(ctx context.Context, t *testing.T, complete func() bool) {
	defer func() {
		if o.src != nil {
			_ = o.src.Close(context.Background()) // It may be disconnected.
		}
	}()
	for ctx.Err() == nil && !complete() {
		if o.src == nil {
			src, err := o.bus.Subscribe(ctx, topic, group, &bus.SubscribeOptions{Rewind: true, AckWait: 2 * time.Second})
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			o.src = src
			o.rewinds.Add(1)
		}
		ds, err := o.src.Fetch(ctx, 200)
		for _, d := range ds {
			o.handOut(t, d)
		}
		switch {
		case errors.Is(err, bus.ErrConsumerLost):
			_ = o.src.Close(ctx)
			o.src = nil
		case err != nil:
			time.Sleep(time.Millisecond)
		}
	}
}

func (o *ownerReader) handOut(t *testing.T, d *bus.Delivery) {
	if d.At.Sequence > o.contiguous+1 {
		t.Errorf("the event at sequence %d was handed out before the one at %d", d.At.Sequence, o.contiguous+1)
	}
	o.contiguous = max(o.contiguous, d.At.Sequence)
	o.handedOut.Add(1)
	_ = d.Ack(context.Background()) // An ack that is lost costs a redelivery.
}

// What is on its way when a connection drops is lost, and the client is back before it is missed:
// nothing that comes after it may go first.
func TestRewoundSourceHandsOutInOrderAcrossCuts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, &natsbus.Options{APITimeout: 500 * time.Millisecond}, nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1))
	o, wait, stop := startOwner(t, w.bus, b)
	cuts := 60
	if testing.Short() {
		cuts = 20
	}
	for range cuts {
		wait(100)
		p.Cut()
	}
	stop()
	if n := o.rewinds.Load(); n < 2 || n > int64(cuts)+1 {
		t.Errorf("%d cuts had the cursor rewound %d times; want at most one each, and some", cuts, n-1)
	}
	t.Logf("%d cuts, %d rewinds, %d deliveries of %d events", cuts, o.rewinds.Load()-1, o.handedOut.Load(), o.contiguous)
}

// A replicated consumer goes on counting its deliveries when its leader changes.
func TestRewoundSourceHandsOutInOrderAcrossLeaders(t *testing.T) {
	t.Parallel()
	c := natstest.StartCluster(t, nil)
	nc := natstest.Connect(t, c.URL())
	b := newBus(t, nc, &natsbus.Options{PublishTimeout: time.Second, Provision: &natsbus.Provision{Name: stream, Replicas: 3}})
	o, wait, stop := startOwner(t, b, b)
	const changes = 6
	for i := range changes {
		wait(200)
		consumer := natsbus.ConsumerName(group, topic)
		if i%2 == 1 {
			consumer = "" // the stream's leader
		}
		natstest.StepDown(t, nc, stream, consumer)
	}
	wait(200)
	stop()
	if n := o.rewinds.Load() - 1; n > 2*changes {
		t.Errorf("%d changes of a leader had the cursor rewound %d times", changes, n)
	}
	t.Logf("%d changes, %d rewinds, %d deliveries of %d events", changes, o.rewinds.Load()-1, o.handedOut.Load(), o.contiguous)
}

// A server that is killed may not have stored what it delivered last.
func TestRewoundSourceHandsOutInOrderAcrossKills(t *testing.T) {
	t.Parallel()
	p := natstest.StartProcess(t)
	b := newBus(t, natstest.Connect(t, p.URL()), &natsbus.Options{PublishTimeout: time.Second, Provision: &natsbus.Provision{Name: stream}})
	o, wait, stop := startOwner(t, b, b)
	for range 3 {
		wait(500)
		p.Kill()
		p.Start(t)
	}
	wait(500)
	stop()
	t.Logf("%d rewinds, %d deliveries of %d events", o.rewinds.Load()-1, o.handedOut.Load(), o.contiguous)
}

// A source that was away while another process rewound the consumer cannot tell from numbers that
// begin again whether it misses something.
func TestRewoundSourceIsLostToTheNextRewind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	src := subscribe(t, b, &bus.SubscribeOptions{Rewind: true})
	publish(t, w.bus, "1", "2")
	fetch(t, src, 2)
	p.Refuse(true)
	p.Cut()
	eventually(t, "be disconnected", func() bool { return src.Healthy() != nil })
	w.subscribe(t, &bus.SubscribeOptions{Rewind: true})
	p.Refuse(false)
	wantLost(t, src, "it was rewound")
}
