package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/proxy"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// traffic publishes events and acknowledges deliveries until it is told to stop, across whatever
// happens meanwhile.
type traffic struct {
	mu       sync.Mutex
	stored   map[string]bool // confirmed
	arrived  map[string]bool
	stopping chan struct{}
	stopped  sync.WaitGroup
}

func startTraffic(t *testing.T, publisher bus.Publisher, src bus.Source) *traffic {
	t.Helper()
	f := &traffic{stored: map[string]bool{}, arrived: map[string]bool{}, stopping: make(chan struct{})}
	f.stopped.Go(func() { f.publish(publisher) })
	f.stopped.Go(func() { f.consume(t, src) })
	return f
}

func (f *traffic) publish(p bus.Publisher) {
	for i := 0; ; i++ {
		events := make([]bus.Event, 10)
		for j := range events {
			events[j] = bus.Event{ID: fmt.Sprintf("%p-%d-%d", f, i, j), Topic: topic}
		}
		for done := false; !done; {
			receipts, err := p.Publish(context.Background(), events...)
			f.confirm(events, receipts)
			done = err == nil
			select {
			case <-f.stopping:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func (f *traffic) confirm(events []bus.Event, receipts []bus.Receipt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range receipts {
		if r.Err == nil {
			f.stored[events[i].ID] = true
		}
	}
}

func (f *traffic) consume(t *testing.T, src bus.Source) {
	var silent time.Time
	for {
		ds, err := src.Fetch(context.Background(), 50)
		if errors.Is(err, bus.ErrConsumerLost) || errors.Is(err, bus.ErrClosed) {
			t.Errorf("Fetch: %v", err)
			return
		}
		for _, d := range ds {
			_ = d.Ack(context.Background()) // An ack that is lost costs a redelivery.
		}
		f.arrive(ds)
		switch {
		case len(ds) > 0 || silent.IsZero():
			silent = time.Now()
		case f.complete() || time.Since(silent) > fetchTimeout:
			return
		}
	}
}

func (f *traffic) arrive(ds []*bus.Delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range ds {
		f.arrived[d.Event.ID] = true
	}
}

// complete reports whether all that was confirmed arrived, and no more will be.
func (f *traffic) complete() bool {
	select {
	case <-f.stopping:
		return len(f.missing()) == 0
	default:
		return false
	}
}

func (f *traffic) missing() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.stored {
		if !f.arrived[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// more waits until so many more events were confirmed and so many more arrived.
func (f *traffic) more(t *testing.T, n int) {
	t.Helper()
	count := func() (int, int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.stored), len(f.arrived)
	}
	stored, arrived := count()
	eventually(t, "more traffic", func() bool {
		s, a := count()
		return s >= stored+n && a >= arrived+n
	})
}

func (f *traffic) stop(t *testing.T) {
	t.Helper()
	close(f.stopping)
	f.stopped.Wait()
	if missing := f.missing(); len(missing) > 0 {
		t.Errorf("%d of %d confirmed events never arrived: %.200q", len(missing), len(f.stored), missing)
	}
}

func TestServerRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &natsbus.Options{PublishTimeout: time.Second})
	f := startTraffic(t, w.bus, w.subscribe(t, &bus.SubscribeOptions{AckWait: 2 * time.Second}))
	for range 2 {
		f.more(t, 200)
		w.server.Stop()
		w.restart(t)
	}
	f.more(t, 200)
	f.stop(t)
}

func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	p := natstest.StartProcess(t)
	b := newBus(t, natstest.Connect(t, p.URL()), &natsbus.Options{PublishTimeout: time.Second, Provision: &natsbus.Provision{}})
	f := startTraffic(t, b, subscribe(t, b, &bus.SubscribeOptions{AckWait: 2 * time.Second}))
	for range 3 {
		f.more(t, 200)
		p.Kill()
		p.Start(t)
	}
	f.more(t, 200)
	f.stop(t)
}

func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	c := natstest.StartCluster(t, nil)
	nc := natstest.Connect(t, c.URL())
	b := newBus(t, nc, &natsbus.Options{PublishTimeout: time.Second, Provision: &natsbus.Provision{Name: stream, Replicas: 3}})
	src := subscribe(t, b, &bus.SubscribeOptions{AckWait: 2 * time.Second})
	f := startTraffic(t, b, src)
	f.more(t, 100)
	for range 2 {
		natstest.StepDown(t, nc, stream, natsbus.ConsumerName(group, topic))
		f.more(t, 100)
		natstest.StepDown(t, nc, stream, "")
		f.more(t, 100)
	}
	f.stop(t)
	if err := src.Healthy(); err != nil {
		t.Errorf("Healthy: %v", err)
	}
}

// through connects a bus to the world's server by way of a proxy.
func (w *world) through(t *testing.T, o *natsbus.Options, options ...nats.Option) (*proxy.Proxy, *natsbus.Bus) {
	t.Helper()
	p, err := proxy.New(w.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	options = append(options, nats.IgnoreDiscoveredServers())
	return p, newBus(t, natstest.Connect(t, "nats://"+p.Addr(), options...), o)
}

func TestConnectionIsCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, &natsbus.Options{PublishTimeout: time.Second})
	f := startTraffic(t, b, subscribe(t, b, &bus.SubscribeOptions{AckWait: 2 * time.Second}))
	for _, cut := range []func(){p.Cut, p.Reset, p.Cut} {
		f.more(t, 200)
		cut()
	}
	f.more(t, 200)
	f.stop(t)
}

func TestConnectionIsABlackHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, &natsbus.Options{PublishTimeout: 500 * time.Millisecond, APITimeout: 500 * time.Millisecond, CheckInterval: 200 * time.Millisecond})
	for _, direction := range []proxy.Direction{proxy.ToServer, proxy.ToClient} {
		src := subscribe(t, b, &bus.SubscribeOptions{AckWait: 2 * time.Second})
		f := startTraffic(t, b, src)
		f.more(t, 100)
		p.Blackhole(direction, true)
		eventually(t, "be unhealthy in a black hole", func() bool { return src.Healthy() != nil })
		p.Blackhole(direction, false)
		f.more(t, 100)
		eventually(t, "be healthy after a black hole", func() bool { return src.Healthy() == nil })
		f.stop(t)
		if err := src.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// wantLost fetches until the consumer is lost for the reason given.
func wantLost(t *testing.T, src bus.Source, reason string) {
	t.Helper()
	for limit := time.Now().Add(fetchTimeout); ; {
		_, err := src.Fetch(t.Context(), 10)
		if errors.Is(err, bus.ErrConsumerLost) {
			if !strings.Contains(err.Error(), reason) {
				t.Errorf("lost: %v; want the reason %q", err, reason)
			}
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("Fetch: %v; want ErrConsumerLost", err)
		}
	}
	if !errors.Is(src.Healthy(), bus.ErrConsumerLost) {
		t.Errorf("Healthy: %v; want ErrConsumerLost", src.Healthy())
	}
}

func TestStreamIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	src := w.subscribe(t, nil)
	publish(t, w.bus, "1")
	d := fetch(t, src, 1)[0]
	natstest.DeleteStream(t, w.nc, stream)
	wantLost(t, src, "gone")
	if err := d.Ack(t.Context()); !errors.Is(err, bus.ErrConsumerLost) {
		t.Errorf("Ack of a delivery of a lost consumer: %v; want ErrConsumerLost", err)
	}
	makeStream(t, w.js, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	src = w.subscribe(t, &bus.SubscribeOptions{Resume: bus.Position{Stored: d.At.Stored}})
	publish(t, w.bus, "2")
	again := fetch(t, src, 1)[0]
	if again.Event.ID != "2" || again.At.Stream == d.At.Stream || d.At.Covers(again.At) {
		t.Errorf("%+v came after %+v; want event 2 in another incarnation", again.At, d.At)
	}
}

// The stream goes back to an older copy under a source, and its sequences are used again.
func TestStreamIsRestored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		events int // that are published to the restored stream before the source is back
	}{
		{"before anything is published", 0},
		{"after as many were published again", 3},
		{"after more were published again", 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			p, b := w.through(t, nil)
			src := subscribe(t, b, nil)
			publish(t, w.bus, "a", "b")
			ack(t, fetch(t, src, 2)...)
			wantUnsettled(t, src, 0) // An ack on its way may get lost.
			w.server.Stop()
			older := w.server.Copy(t)
			w.restart(t)
			publish(t, w.bus, "c", "d", "e")
			gone := fetch(t, src, 3)
			p.Refuse(true) // The source stays away meanwhile.
			w.server.Stop()
			w.server.Restore(t, older)
			w.restart(t)
			var ids []string
			for i := range tt.events {
				ids = append(ids, fmt.Sprint("new", i))
			}
			if len(ids) > 0 {
				publish(t, w.bus, ids...)
			}
			taken := takeOver(t, w, len(ids))
			for _, d := range gone {
				_ = d.Ack(t.Context()) // Held, and never sent.
			}
			p.Refuse(false)
			wantLost(t, src, "restored")
			src = subscribe(t, b, &bus.SubscribeOptions{Resume: bus.Position{Stored: gone[2].At.Stored}})
			wantUnsettled(t, src, len(taken))
			for _, d := range append(taken, fetch(t, src, len(ids)-len(taken))...) {
				if gone[2].At.Covers(d.At) {
					t.Errorf("the watermark %+v covers the new event at %+v", gone[2].At, d.At)
				}
			}
		})
	}
}

func wantUnsettled(t *testing.T, src bus.Source, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("have %d deliveries unsettled", n), func() bool {
		info, err := src.Info(t.Context())
		return err == nil && info.Unsettled == uint64(n)
	})
}

// A consumer that another process has made again while a source was away is not the source's.
func TestConsumerIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	src := subscribe(t, b, nil)
	p.Refuse(true)
	p.Cut()
	eventually(t, "be disconnected", func() bool { return src.Healthy() != nil })
	if err := w.js.DeleteConsumer(t.Context(), stream, name); err != nil {
		t.Fatal(err)
	}
	w.subscribe(t, nil)
	p.Refuse(false)
	wantLost(t, src, "made again")
}

// takeOver fetches what lies where other events have lain, as another process of the group.
func takeOver(t *testing.T, w *world, published int) []*bus.Delivery {
	t.Helper()
	if published == 0 {
		return nil
	}
	other := w.subscribe(t, nil)
	ds := fetch(t, other, 3)
	if got, err := other.Fetch(t.Context(), 0); len(got) > 0 || err != nil {
		t.Fatalf("Fetch(0): %d deliveries, %v", len(got), err)
	}
	return ds
}

func TestSettlementsWhileDisconnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	src := subscribe(t, b, nil)
	publish(t, w.bus, "1", "2", "3", "4")
	ds := fetch(t, src, 4)
	p.Refuse(true)
	p.Cut()
	eventually(t, "be disconnected", func() bool { return errors.Is(src.Healthy(), nats.ErrDisconnected) })
	ack(t, ds[0])
	if err := ds[1].Term(t.Context(), "no\nuse"); err != nil {
		t.Errorf("Term: %v; want it held", err)
	}
	if err := ds[2].Nak(t.Context(), 0); !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("Nak: %v; want it refused", err)
	}
	if err := ds[3].Extend(t.Context()); !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("Extend: %v; want it refused", err)
	}
	if got, err := src.Fetch(t.Context(), 1); len(got) > 0 || !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("Fetch: %d deliveries, %v; want an error that passes", len(got), err)
	}
	receipts, err := b.Publish(t.Context(), bus.Event{ID: "5", Topic: topic})
	if !errors.Is(err, nats.ErrDisconnected) || receipts[0].Err == nil {
		t.Errorf("Publish: %v; want ErrDisconnected", err)
	}
	p.Refuse(false)
	eventually(t, "have the ack and the term sent", func() bool {
		info, err := src.Info(t.Context())
		return err == nil && info.Unsettled == 2 && info.Floor == 2
	})
}

func TestCloseWhileDisconnectedTellsWhatWasNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	src := subscribe(t, b, nil)
	publish(t, w.bus, "1")
	ds := fetch(t, src, 1)
	p.Refuse(true)
	p.Cut()
	eventually(t, "be disconnected", func() bool { return src.Healthy() != nil })
	ack(t, ds...)
	if err := src.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1 answers") {
		t.Errorf("Close: %v; want that one answer was not sent", err)
	}
	if err := ds[0].Extend(t.Context()); !errors.Is(err, bus.ErrAnswered) {
		t.Errorf("Extend: %v; want ErrAnswered", err)
	}
}

func TestConnectionClosedForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	nc := w.server.Connect(t)
	b := newBus(t, nc, nil)
	src := subscribe(t, b, nil)
	publish(t, b, "1")
	d := fetch(t, src, 1)[0]
	nc.Close()
	eventually(t, "end", func() bool {
		_, err := src.Fetch(t.Context(), 1)
		return errors.Is(err, bus.ErrClosed) && errors.Is(err, nats.ErrConnectionClosed)
	})
	if err := d.Ack(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Ack: %v; want ErrClosed", err)
	}
	if _, err := b.Publish(t.Context(), bus.Event{ID: "2", Topic: topic}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Publish: %v; want ErrClosed", err)
	}
	if err := src.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestBusClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	src := w.subscribe(t, nil)
	publish(t, w.bus, "1")
	w.bus.Close()
	w.bus.Close()
	eventually(t, "end", func() bool {
		_, err := src.Fetch(t.Context(), 1)
		return errors.Is(err, bus.ErrClosed)
	})
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "2", Topic: topic}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Publish: %v; want ErrClosed", err)
	}
	if !w.nc.IsConnected() {
		t.Error("the connection is closed; it is its opener's")
	}
}
