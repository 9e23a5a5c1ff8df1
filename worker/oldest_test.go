package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// A worker on the oldest server handles each event once, though the server starts again meanwhile.
func TestRunOnTheOldestServer(t *testing.T) {
	t.Parallel()
	server := natstest.StartVersion(t, kvdedupe.OldestServer)
	c, err := Connect(t.Context(), &ConnectOptions{NATS: server.URL(), Provision: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	_, err = c.Bus().Topic(t.Context(), "t", "g", bus.Start{})
	must(t, err)
	const events = 200
	var es []bus.Event
	for i := range events {
		es = append(es, bus.Event{ID: fmt.Sprint(i), Topic: "t"})
	}
	for range 2 {
		_, err = c.Bus().Publish(t.Context(), es...)
		must(t, err)
	}
	var mu sync.Mutex
	runs := map[string]int{}
	var again sync.WaitGroup
	w, err := New("g", c, &Options{UntilEmpty: true, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	w.Handle("t", func(_ context.Context, e bus.Event) error {
		mu.Lock()
		defer mu.Unlock()
		runs[e.ID]++
		if len(runs) == events/2 {
			again.Go(func() {
				server.Stop()
				server.Start(t)
			})
		}
		return nil
	}, &consumer.Options{Concurrency: 1, Lease: time.Second, AckWait: time.Second})
	must(t, w.Run(t.Context()))
	again.Wait()
	if len(runs) != events {
		t.Errorf("%d of %d events were handled", len(runs), events)
	}
	for id, n := range runs {
		if n != 1 {
			t.Errorf("event %s was handled %d times", id, n)
		}
	}
}
