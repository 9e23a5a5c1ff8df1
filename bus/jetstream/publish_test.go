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
)

func manyEvents(n int) []bus.Event {
	events := make([]bus.Event, n)
	for i := range events {
		events[i] = bus.Event{ID: fmt.Sprint(i), Topic: topic}
	}
	return events
}

// Calls share a window that is smaller than any of them.
func TestPublishWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &natsbus.Options{PublishWindow: 3})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			events := manyEvents(50)
			for j := range events {
				events[j].ID = fmt.Sprint(i, "/", j)
			}
			receipts, err := w.bus.Publish(t.Context(), events...)
			if err != nil {
				t.Errorf("Publish: %v", err)
			}
			for j := 1; j < len(receipts); j++ {
				if receipts[j].Sequence <= receipts[j-1].Sequence {
					t.Errorf("sequence %d after %d", receipts[j].Sequence, receipts[j-1].Sequence)
				}
			}
		})
	}
	all.Wait()
}

func TestPublishTimesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &natsbus.Options{PublishTimeout: 100 * time.Millisecond, PublishWindow: 3})
	sub, err := w.nc.Subscribe("silent", func(*nats.Msg) {}) // Somebody listens, and it is no stream.
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	events := manyEvents(5)
	for i := range events {
		events[i].Topic = "silent"
	}
	receipts, err := w.bus.Publish(t.Context(), events...)
	if !errors.Is(err, nats.ErrTimeout) {
		t.Fatalf("Publish: %v; want a time-out", err)
	}
	for i, r := range receipts {
		if want := map[bool]string{true: "not confirmed", false: "not published"}[i < 3]; r.Err == nil || !strings.Contains(r.Err.Error(), want) {
			t.Errorf("receipt %d: %v; want %q", i, r.Err, want)
		}
	}
	publish(t, w.bus, "the window is free again", "1", "2", "3")
}

func TestPublishEndsWithContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	publish(t, b, "1")
	p.Blackhole(proxy.ToServer, true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Publish(ctx, manyEvents(3)...); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish: %v; want the end of its context", err)
	}
}

func TestPublishIsInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p, b := w.through(t, nil)
	publish(t, b, "1")
	p.Blackhole(proxy.ToClient, true)
	done := make(chan error, 1)
	go func() {
		_, err := b.Publish(context.WithoutCancel(t.Context()), manyEvents(3)...)
		done <- err
	}()
	eventually(t, "store the events", func() bool { return w.stream(t).CachedInfo().State.LastSeq == 4 })
	p.Cut()
	if err := <-done; !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("Publish: %v; want that it was disconnected", err)
	}
	p.Blackhole(proxy.ToClient, false)
	eventually(t, "publish again", func() bool {
		receipts, err := b.Publish(t.Context(), manyEvents(3)...)
		return err == nil && receipts[0].Duplicate && receipts[2].Duplicate
	})
}

func TestPublishTooLargeForTheStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	makeStream(t, w.js, jetstream.StreamConfig{Name: "small", Subjects: []string{"small"}, MaxMsgSize: 1000})
	info, err := w.bus.Topic(t.Context(), "small", group, bus.Start{})
	if err != nil || info.MaxBytes != 1000 {
		t.Errorf("Topic: %+v, %v; want MaxBytes 1000", info, err)
	}
	_, err = w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: "small", Data: make([]byte, 1000)})
	if !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("Publish: %v; want ErrTooLarge", err)
	}
}

func TestTraceContextGoesThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	src := w.subscribe(t, nil)
	headers := bus.Headers{"traceparent": {"00-1"}, "tracestate": {"a=b"}, "X-Custom": {"1", "2"}}
	if _, err := w.bus.Publish(t.Context(), bus.Event{ID: "1", Topic: topic, Headers: headers}); err != nil {
		t.Fatal(err)
	}
	got := fetch(t, src, 1)[0].Event.Headers
	if len(got) != 3 || got["traceparent"][0] != "00-1" || got["tracestate"][0] != "a=b" || len(got["X-Custom"]) != 2 {
		t.Errorf("headers %q; want %q", got, headers)
	}
}

// What the server says against an event is told from what it says of the stream.
func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	sub, err := w.nc.Subscribe("answers.>", func(m *nats.Msg) {
		status, code, _ := strings.Cut(strings.TrimPrefix(m.Subject, "answers."), ".")
		_ = m.Respond(fmt.Appendf(nil, `{"error":{"code":%s,"err_code":%s,"description":"as told"},"stream":"S","seq":0}`, status, code))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	for answer, want := range map[string]error{
		"400.10054": bus.ErrTooLarge,
		"400.10097": bus.ErrTooLarge,
		"400.10166": bus.ErrRefused, // no TTLs on this stream
		"400.10071": bus.ErrRefused, // wrong last sequence
		"400.10109": bus.ErrUnavailable,
		"409.10158": bus.ErrUnavailable, // a copy is in process
		"429.10167": bus.ErrUnavailable,
		"503.10077": bus.ErrUnavailable, // full
		"503.10008": bus.ErrUnavailable,
	} {
		receipts, err := w.bus.Publish(t.Context(), bus.Event{ID: answer, Topic: "answers." + answer})
		if !errors.Is(err, want) || len(receipts) != 1 || !errors.Is(receipts[0].Err, want) {
			t.Errorf("answer %s: %v, %v; want %v", answer, receipts, err, want)
		}
	}
}

func TestPublishToAFullStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := w.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "full", Subjects: []string{"full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, bus.ErrUnavailable} {
		if _, err := w.bus.Publish(t.Context(), bus.Event{ID: fmt.Sprint(i), Topic: "full"}); !errors.Is(err, want) {
			t.Errorf("event %d: %v; want %v", i, err, want)
		}
	}
}
