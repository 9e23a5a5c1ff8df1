package sizing

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// streamBytes is what the messages of a stream take.
type streamBytes struct {
	stored int64 // by the server's own count
	disk   int64 // the files
}

// letterCount counts dead letters, and says when the last is there.
type letterCount struct {
	want uint64
	got  atomic.Uint64
	all  chan struct{}
}

// Observe implements consumer.Observer.
func (c *letterCount) Observe(o consumer.Observation) {
	if o.Outcome == consumer.OutcomeDead && c.got.Add(1) == c.want {
		close(c.all)
	}
}

// measureLetters gives up n events of 256 bytes, and returns what their letters take.
func measureLetters(tb testing.TB, n int) (s streamBytes) {
	tb.Helper()
	var dir string
	srv := natstest.Start(tb, func(o *server.Options) { dir = o.StoreDir })
	nc := srv.Connect(tb)
	events, err := natsbus.New(nc, &natsbus.Options{Logger: quiet})
	must(tb, err)
	defer events.Close()
	letters := "dead." + group
	must(tb, events.Provision(tb.Context(), topic))
	must(tb, events.Provision(tb.Context(), letters))
	publishEvents(tb, events, n)
	store, err := memdedupe.New(nil)
	must(tb, err)
	count := &letterCount{want: uint64(n), all: make(chan struct{})}
	sub, err := consumer.SubscribeExactlyOnce(tb.Context(), events, topic, group, store, func(context.Context, bus.Event) error {
		return consumer.Permanent(errors.New("charge: the card was declined: insufficient funds"))
	}, &consumer.Options{Observer: count, Logger: quiet})
	must(tb, err)
	<-count.all
	must(tb, sub.Drain(context.WithoutCancel(tb.Context())))
	js, err := jetstream.New(nc)
	must(tb, err)
	stream, err := js.Stream(tb.Context(), natsbus.StreamName(letters))
	must(tb, err)
	s.stored = int64(stream.CachedInfo().State.Bytes)
	srv.Stop()
	s.disk = diskUsage(tb, dir, natsbus.StreamName(letters))
	return s
}

func publishEvents(tb testing.TB, to bus.Publisher, n int) {
	tb.Helper()
	id := newIDs(36)
	all := make([]bus.Event, n)
	for i := range all {
		all[i] = bus.Event{ID: id(), Topic: topic, Key: id(), Data: randomData()}
	}
	_, err := to.Publish(tb.Context(), all...)
	must(tb, err)
}

// BenchmarkBytesLetters reports what a dead letter takes in JetStream: -benchtime 100000x is for so
// many letters.
func BenchmarkBytesLetters(b *testing.B) {
	s := measureLetters(b, b.N)
	report(b, "stored-B/letter", s.stored)
	report(b, "disk-B/letter", s.disk)
}
