package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/group"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
)

// messageSignal is a log that says when a message is written.
type messageSignal struct {
	slog.Handler

	message string
	written chan struct{}
	once    *sync.Once
}

// Handle implements slog.Handler.
func (s messageSignal) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, s.message) {
		s.once.Do(func() { close(s.written) })
	}
	return nil
}

// Enabled implements slog.Handler.
func (messageSignal) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (s messageSignal) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup implements slog.Handler.
func (s messageSignal) WithGroup(string) slog.Handler { return s }

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // of the standard's example

// TestFileMakesAWebhook: what it says of signatures, and the pause when the endpoint is gone, reach
// the handler; after a resume every event arrives, once and signed.
func TestFileMakesAWebhook(t *testing.T) {
	t.Parallel()
	const events = 20
	var back atomic.Bool
	arrived, all := make(map[string]int), make(chan struct{})
	var mu sync.Mutex
	verifier, err := webhooks.NewWebhook(webhookSecret)
	check(t, err)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing is not verified
		switch err := verifier.Verify(body, r.Header); {
		case err != nil:
			t.Errorf("%v: %v", err, r.Header)
		case !back.Load():
			w.WriteHeader(http.StatusGone)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if arrived[r.Header.Get("Webhook-Id")]++; len(arrived) == events && arrived[r.Header.Get("Webhook-Id")] == 1 {
			close(all)
		}
	}))
	defer endpoint.Close()
	gone := messageSignal{message: "endpoint is gone for good; the topic is paused", written: make(chan struct{}), once: new(sync.Once)}
	conns, stop := runFile(t, slog.New(gone), events, `
group: hooks
subscriptions:
  - topic: order.placed
    attempts: 1
    handler:
      http:
        url: `+endpoint.URL+`/hooks
        signing: {secrets: [`+webhookSecret+`]}
        per_host: {concurrency: 4}
`)
	<-gone.written
	store, err := conns.GroupStore(t.Context())
	check(t, err)
	pauses, err := group.Pauses(t.Context(), store, "hooks")
	check(t, err)
	if len(pauses) != 1 || pauses[0].Topic != "order.placed" || !strings.Contains(pauses[0].Reason, endpoint.URL+" is gone for good") {
		t.Errorf("pauses %v", pauses)
	}
	back.Store(true)
	_, err = group.Resume(t.Context(), store, "hooks", group.Request{Topic: "order.placed"})
	check(t, err)
	<-all
	stop()
	for id, n := range arrived {
		if n != 1 {
			t.Errorf("%s arrived %d times", id, n)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runFile runs the first subscription of a file in this process, over a bus in memory that has so
// many events for it.
func runFile(t *testing.T, log *slog.Logger, events int, file string) (conns *worker.Connections, stop func()) {
	t.Helper()
	c, problems := config.Parse("worker.yaml", []byte(file), func(string) (string, bool) { return "", false })
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, err := membus.New(nil)
	check(t, err)
	store, err := memdedupe.New(nil)
	check(t, err)
	for i := range events {
		_, err := b.Publish(t.Context(), bus.Event{ID: string(rune('a' + i)), Topic: c.Subscriptions[0].Topic})
		check(t, err)
	}
	conns = worker.Over(b, store)
	w, err := worker.New(c.Group, conns, &worker.Options{Logger: log})
	check(t, err)
	s := &workerBuilder{worker: w, stdout: io.Discard, stderr: io.Discard}
	check(t, s.addSubscription(t.Context(), &c.Subscriptions[0]))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return conns, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
