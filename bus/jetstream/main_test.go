package jetstream_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.DiscardHandler)

// newBus makes a bus that is closed with the test.
func newBus(t testing.TB, nc *nats.Conn, o *natsbus.Options) *natsbus.Bus {
	t.Helper()
	if o == nil {
		o = &natsbus.Options{}
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	b, err := natsbus.New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func newJetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// world is a server with a bus on a stream "orders" of "orders.>".
type world struct {
	served

	server *natstest.Server
	bus    *natsbus.Bus
}

const (
	stream = "orders"
	topic  = "orders.new"
	group  = "g"
)

func newWorld(t testing.TB, o *natsbus.Options) *world {
	t.Helper()
	server := natstest.Start(t, nil)
	nc := server.Connect(t)
	w := &world{server: server, served: served{machine: server, nc: nc, js: newJetStream(t, nc)}}
	makeStream(t, w.js, jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.>"}})
	w.bus = newBus(t, nc, o)
	return w
}

func makeStream(t testing.TB, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (w *world) subscribe(t testing.TB, o *bus.SubscribeOptions) bus.Source {
	t.Helper()
	return subscribe(t, w.bus, o)
}

func subscribe(t testing.TB, b bus.Bus, o *bus.SubscribeOptions) bus.Source {
	t.Helper()
	src, err := b.Subscribe(t.Context(), topic, group, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close(context.Background()) }) // It may be lost or disconnected by then.
	return src
}

func publish(t testing.TB, b bus.Publisher, ids ...string) []bus.Receipt {
	t.Helper()
	var events []bus.Event
	for _, id := range ids {
		events = append(events, bus.Event{ID: id, Topic: topic, Data: []byte("payload of " + id)})
	}
	receipts, err := b.Publish(t.Context(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}

const fetchTimeout = 15 * time.Second

// fetch collects n deliveries, across errors that pass.
func fetch(t testing.TB, src bus.Source, n int) []*bus.Delivery {
	t.Helper()
	var ds []*bus.Delivery
	var last error
	for limit := time.Now().Add(fetchTimeout); len(ds) < n && time.Now().Before(limit); {
		got, err := src.Fetch(t.Context(), n-len(ds))
		if ds = append(ds, got...); err != nil {
			last = err
			time.Sleep(10 * time.Millisecond)
		}
	}
	if len(ds) < n {
		t.Fatalf("%d deliveries came; want %d; last error: %v; healthy: %v", len(ds), n, last, src.Healthy())
	}
	return ds
}

func ack(t testing.TB, ds ...*bus.Delivery) {
	t.Helper()
	for _, d := range ds {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// eventually polls for what becomes so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(fetchTimeout); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("it never came to %s", what)
		}
	}
}

// perBus remembers something of each bus under test.
type perBus[T any] struct {
	mu sync.Mutex
	of map[bus.Bus]T
}

func (p *perBus[T]) set(b bus.Bus, v T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = map[bus.Bus]T{}
	}
	p.of[b] = v
}

func (p *perBus[T]) get(b bus.Bus) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[b]
}
