package jetstream_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
)

const (
	benchData  = 256 // bytes
	benchFetch = 500
	benchLoad  = 500 // events per Publish
)

func benchEvents(from, n int) []bus.Event {
	events := make([]bus.Event, n)
	data := make([]byte, benchData)
	for i := range events {
		events[i] = bus.Event{ID: fmt.Sprintf("%036d", from+i), Topic: topic, Data: data}
	}
	return events
}

// BenchmarkFetchAck fetches and acknowledges, and compares that with the Consume and Ack of nats.go
// on the same stream.
func BenchmarkFetchAck(b *testing.B) {
	w := newWorld(b, nil)
	n := max(b.N, 50_000)
	for done := 0; done < n; done += benchLoad {
		if _, err := w.bus.Publish(b.Context(), benchEvents(done, min(benchLoad, n-done))...); err != nil {
			b.Fatal(err)
		}
	}
	// Interleaved, so that what else the machine does strikes both.
	const rounds = 3
	var theirs, ours time.Duration
	for i := range rounds {
		theirs += consumeAck(b, w, fmt.Sprint("theirs", i), n)
		ours += fetchAck(b, w, fmt.Sprint("ours", i), n)
	}
	b.ReportMetric(float64(n*rounds)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(n*rounds)/theirs.Seconds(), "nats.go-events/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-of-nats.go")
}

func fetchAck(b *testing.B, w *world, group string, n int) time.Duration {
	b.Helper()
	src, err := w.bus.Subscribe(b.Context(), topic, group, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := src.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	began := time.Now()
	for got := 0; got < n; {
		ds, err := src.Fetch(b.Context(), benchFetch)
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range ds {
			if err := d.Ack(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		got += len(ds)
	}
	if err := w.nc.Flush(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func consumeAck(b *testing.B, w *world, name string, n int) time.Duration {
	b.Helper()
	c, err := w.js.CreateConsumer(b.Context(), stream, jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: topic, MaxAckPending: bus.DefaultMaxUnsettled,
	})
	if err != nil {
		b.Fatal(err)
	}
	var got atomic.Int64
	done := make(chan struct{})
	began := time.Now()
	cc, err := c.Consume(func(m jetstream.Msg) {
		if err := m.Ack(); err != nil {
			b.Error(err)
		}
		if got.Add(1) == int64(n) {
			close(done)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	<-done
	if err := w.nc.Flush(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	cc.Stop()
	<-cc.Closed()
	return took
}

// BenchmarkPublish publishes confirmed events, and compares that with the
// PublishMsgAsync of nats.go.
func BenchmarkPublish(b *testing.B) {
	w := newWorld(b, &natsbus.Options{})
	n := max(b.N, 50_000)
	const rounds = 3
	var theirs, ours time.Duration
	for i := range rounds {
		theirs += publishAsync(b, w, i*n, n)
		ours += publishLoads(b, w, i*n, n)
	}
	b.ReportMetric(float64(n*rounds)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(n*rounds)/theirs.Seconds(), "nats.go-events/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-of-nats.go")
}

// publishLoads has two callers, so that the server has work while one of them waits for the last
// confirmations of its load.
func publishLoads(b *testing.B, w *world, from, n int) time.Duration {
	b.Helper()
	began := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for {
				done := int(next.Add(benchLoad)) - benchLoad
				if done >= n {
					return
				}
				if _, err := w.bus.Publish(b.Context(), benchEvents(from+done, min(benchLoad, n-done))...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

func publishAsync(b *testing.B, w *world, from, n int) time.Duration {
	b.Helper()
	data := make([]byte, benchData)
	began := time.Now()
	for i := range n {
		m := &nats.Msg{Subject: topic, Data: data, Header: nats.Header{nats.MsgIdHdr: {fmt.Sprintf("raw%033d", from+i)}}}
		if _, err := w.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	<-w.js.PublishAsyncComplete()
	return time.Since(began)
}
