package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/internal/testing/handlertest"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// perRound is how many events a round handles; -benchtime says how many rounds. Service and server
// share the process with what is measured.
const perRound = 30_000

// BenchmarkHTTP: events of 256 bytes from JetStream to a service that does nothing, with a memory
// store, against net/http alone posting as many such bodies with the same concurrency. handler is
// the handler alone.
func BenchmarkHTTP(b *testing.B) {
	endpoint := serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	service := benchmarkBus(b)
	var plain, alone, whole time.Duration
	for round := 0; b.Loop(); round++ {
		plain += plainPosts(b, endpoint)
		alone += handlerAlone(b, endpoint)
		whole += endToEnd(b, service, fmt.Sprintf("billing-%d", round), endpoint)
	}
	events := float64(b.N * perRound)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(events/whole.Seconds(), "events/s")
	b.ReportMetric(events/plain.Seconds(), "net/http/s")
	b.ReportMetric(plain.Seconds()/alone.Seconds(), "handler-x-of-net/http")
	b.ReportMetric(plain.Seconds()/whole.Seconds(), "x-of-net/http")
}

// BenchmarkSigning: the handler alone with one signature, and with two, against none, in short
// turns.
func BenchmarkSigning(b *testing.B) {
	const turn, turns = 500, 20
	endpoint := serve(b, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	secrets := []string{secretOf('a', 32), secretOf('b', 32)}
	var handlers [3]*Handler
	for n := range handlers {
		handlers[n] = newHTTP(b, endpoint, &Options{SigningSecrets: secrets[:n]})
	}
	var took [3]time.Duration
	ctx := handlertest.Attempt(b, 1)
	for b.Loop() {
		for i := range turns * len(handlers) {
			n := i % len(handlers)
			took[n] += sixteen(b, turn, func(i int) error { return handlers[n].Handle(ctx, benchmarkEvent(i)) })
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.N*turn*turns)/took[1].Seconds(), "signed/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "x-of-unsigned")
	b.ReportMetric(took[0].Seconds()/took[2].Seconds(), "two-x-of-unsigned")
}

func benchmarkEvent(i int) bus.Event {
	return bus.Event{ID: fmt.Sprintf("0192f3a1-7c1e-7000-8000-%012d", i), Topic: handlertest.Placed().Topic, Data: make([]byte, 256)}
}

func benchmarkBus(b *testing.B) bus.Bus {
	b.Helper()
	n, err := natsbus.New(natstest.Start(b, nil).Connect(b), &natsbus.Options{Provision: &natsbus.Provision{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(n.Close)
	events := make([]bus.Event, perRound)
	for i := range events {
		events[i] = benchmarkEvent(i)
	}
	if err := n.Provision(b.Context(), handlertest.Placed().Topic); err != nil {
		b.Fatal(err)
	}
	if _, err := n.Publish(b.Context(), events...); err != nil {
		b.Fatal(err)
	}
	return n
}

// sixteen calls f for each of n events, 16 at once.
func sixteen(b *testing.B, n int64, f func(i int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var running sync.WaitGroup
	start := time.Now()
	for range defaultConcurrency {
		running.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				if err := f(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	return time.Since(start)
}

func plainPosts(b *testing.B, endpoint string) time.Duration {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: defaultConcurrency}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: defaultHTTPTimeout}
	body := make([]byte, 256)
	return sixteen(b, perRound, func(int) error {
		res, err := client.Post(endpoint, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		return res.Body.Close()
	})
}

func handlerAlone(b *testing.B, endpoint string) time.Duration {
	b.Helper()
	h := newHTTP(b, endpoint, nil)
	ctx := handlertest.Attempt(b, 1)
	return sixteen(b, perRound, func(i int) error { return h.Handle(ctx, benchmarkEvent(i)) })
}

func endToEnd(b *testing.B, from bus.Bus, group, endpoint string) time.Duration {
	b.Helper()
	h := newHTTP(b, endpoint, nil)
	store, err := memdedupe.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	handled := &count{left: perRound, done: make(chan struct{})}
	start := time.Now()
	sub, err := consumer.SubscribeExactlyOnce(b.Context(), from, handlertest.Placed().Topic, group, store, h.Handle, &consumer.Options{
		Logger: slog.New(slog.DiscardHandler), Observer: handled, DeadLetter: "dead.billing",
	})
	if err != nil {
		b.Fatal(err)
	}
	<-handled.done
	took := time.Since(start)
	if err := sub.Drain(context.Background()); err != nil {
		b.Error(err)
	}
	return took
}

// count waits for so many observations.
type count struct {
	left int
	done chan struct{}
}

// Observe implements consumer.Observer.
func (c *count) Observe(consumer.Observation) {
	if c.left--; c.left == 0 {
		close(c.done)
	}
}
