package replay_test

import (
	"bytes"
	"io"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/replay"
)

// speedEvents is how many events a run of the benchmarks moves.
const speedEvents = 50_000

// server is a stream "orders" and a bus on it.
type server struct {
	js  jetstream.JetStream
	bus *natsbus.Bus
}

func newServer(b *testing.B) server {
	b.Helper()
	nc := natstest.Start(b, nil).Connect(b)
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4_000))
	if err != nil {
		b.Fatal(err)
	}
	s := server{js: js}
	s.makeStream(b)
	if s.bus, err = natsbus.New(nc, &natsbus.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.bus.Close)
	return s
}

func (s server) makeStream(b *testing.B) {
	b.Helper()
	if _, err := s.js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{Name: "orders", Subjects: []string{topic}}); err != nil {
		b.Fatal(err)
	}
}

func (s server) fill(b *testing.B) []bus.Event {
	b.Helper()
	events := numbered(speedEvents)
	for i := range events {
		events[i].ContentType, events[i].Data = "text/plain", bytes.Repeat([]byte{'x'}, 100)
	}
	publish(b, s.bus, events...)
	return events
}

// rate runs what moves all events, and reports how many it moves in a second.
func rate(b *testing.B, baseline *float64, move func()) {
	b.Helper()
	var took time.Duration
	for range b.N {
		began := time.Now()
		move()
		took += time.Since(began)
	}
	moved := speedEvents * float64(b.N) / took.Seconds()
	b.ReportMetric(moved, "events/s")
	if *baseline == 0 {
		*baseline = moved
	}
	b.ReportMetric(moved / *baseline, "x")
}

func BenchmarkExport(b *testing.B) {
	s := newServer(b)
	s.fill(b)
	text, _ := export(b, s.bus, bus.Range{})
	line := []byte(text[:len(text)/speedEvents])
	var baseline float64
	b.Run("ordered consumer of nats.go, as many bytes", func(b *testing.B) {
		baseline = 0
		rate(b, &baseline, func() {
			c, err := s.js.OrderedConsumer(b.Context(), "orders", jetstream.OrderedConsumerConfig{})
			if err != nil {
				b.Fatal(err)
			}
			messages, err := c.Messages()
			if err != nil {
				b.Fatal(err)
			}
			defer messages.Stop()
			for range speedEvents {
				if _, err := messages.Next(); err != nil {
					b.Fatal(err)
				}
				_, _ = io.Discard.Write(line)
			}
		})
	})
	b.Run("Export", func(b *testing.B) {
		rate(b, &baseline, func() {
			if n, err := replay.Export(b.Context(), s.bus, topic, bus.Range{}, io.Discard, nil); err != nil || n.Events != speedEvents {
				b.Fatal(n, err)
			}
		})
	})
}

func BenchmarkImport(b *testing.B) {
	s := newServer(b)
	events := s.fill(b)
	text, _ := export(b, s.bus, bus.Range{})
	var baseline float64
	fresh := func(b *testing.B) {
		b.Helper()
		b.StopTimer()
		if err := s.js.DeleteStream(b.Context(), "orders"); err != nil {
			b.Fatal(err)
		}
		s.makeStream(b)
		b.StartTimer()
	}
	b.Run("asynchronous publishes with message ids", func(b *testing.B) {
		baseline = 0
		rate(b, &baseline, func() {
			fresh(b)
			for i := range events {
				m := &nats.Msg{Subject: events[i].Topic, Data: events[i].Data, Header: nats.Header{nats.MsgIdHdr: {strconv.Itoa(i)}}}
				if _, err := s.js.PublishMsgAsync(m); err != nil {
					b.Fatal(err)
				}
			}
			<-s.js.PublishAsyncComplete()
		})
	})
	for name, ordered := range map[string]bool{"Import": false, "Import, ordered": true} {
		b.Run(name, func(b *testing.B) {
			rate(b, &baseline, func() {
				fresh(b)
				n, err := replay.Import(b.Context(), s.bus, bytes.NewReader([]byte(text)), &replay.ImportOptions{Ordered: ordered})
				if err != nil || n.Stored != speedEvents {
					b.Fatal(n, err)
				}
			})
		})
	}
}
