package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/testing/natstest"
	"github.com/onceish/onceish/worker"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// syncBuffer is a log that is written and read at the same time.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// rig is an API over real servers, and a client of it.
type rig struct {
	conns *worker.Connections
	api   *API
	url   string
	log   *syncBuffer
}

// connect opens connections to a server of their own that provision what is missing.
func connect(tb testing.TB, co worker.ConnectOptions) *worker.Connections {
	tb.Helper()
	if co.NATS == "" {
		co.NATS = natstest.Start(tb, nil).URL()
	}
	co.Provision, co.Logger = true, slog.New(slog.DiscardHandler)
	c, err := worker.Connect(tb.Context(), &co)
	must(tb, err)
	tb.Cleanup(func() { must(tb, c.Close()) })
	return c
}

// serve returns a client of an API over connections.
func serve(tb testing.TB, c *worker.Connections, o Options) *rig {
	tb.Helper()
	r := &rig{conns: c, log: &syncBuffer{}}
	o.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	r.api, err = New(c, &o)
	must(tb, err)
	server := httptest.NewServer(r.api.Handler(""))
	tb.Cleanup(func() {
		server.Close()
		must(tb, r.api.Close(context.Background()))
	})
	r.url = server.URL
	return r
}

// newRig serves an API over a server of its own.
func newRig(tb testing.TB) *rig {
	tb.Helper()
	return serve(tb, connect(tb, worker.ConnectOptions{}), Options{Group: "billing"})
}

// startWorker runs the group "billing" on the topic "order.placed". It gives up events whose ids
// begin with "bad". It has drained when the test ends.
func (r *rig) startWorker(tb testing.TB, handled chan<- string) {
	tb.Helper()
	started := make(chan struct{})
	w, err := worker.New("billing", r.conns, &worker.Options{
		Logger: slog.New(slog.DiscardHandler), Started: func() { close(started) },
	})
	must(tb, err)
	w.Handle("order.placed", func(_ context.Context, e bus.Event) error {
		if strings.HasPrefix(e.ID, "bad") {
			return consumer.Permanent(fmt.Errorf("no rate for %s", e.ID))
		}
		if handled != nil {
			handled <- e.ID
		}
		return nil
	}, nil)
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		must(tb, <-ended)
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- nil
		tb.Fatal("the worker has ended:", err)
	}
}

// makeStreams makes the streams of the topics "order.placed" and "dead.billing".
func (r *rig) makeStreams(tb testing.TB) {
	tb.Helper()
	js, err := r.conns.JetStream()
	must(tb, err)
	for stream, subject := range map[string]string{"ORDERS": "order.>", "DEAD": "dead.>"} {
		_, err := js.CreateOrUpdateStream(tb.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{subject}})
		must(tb, err)
	}
}

// publish stores events of a topic.
func (r *rig) publish(tb testing.TB, topic string, ids ...string) {
	tb.Helper()
	for _, id := range ids {
		e := bus.Event{ID: id, Topic: topic, Type: "placed", ContentType: "application/json", Data: fmt.Appendf(nil, `{"order":%q}`, id)}
		_, err := r.conns.Bus().Publish(tb.Context(), e)
		must(tb, err)
	}
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request. A body is JSON.
func (r *rig) send(tb testing.TB, method, path, body string, headers ...string) answer {
	tb.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, r.url+path, in)
	must(tb, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(tb, err)
	defer func() { must(tb, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	must(tb, err)
	tb.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (r *rig) get(tb testing.TB, path string, headers ...string) answer {
	tb.Helper()
	return r.send(tb, http.MethodGet, path, "", headers...)
}

// decode reads the answer of a request that must succeed.
func decode[T any](tb testing.TB, a answer) (out T) {
	tb.Helper()
	if a.status/100 != 2 {
		tb.Fatalf("status %d: %s", a.status, a.body)
	}
	must(tb, json.Unmarshal([]byte(a.body), &out))
	return out
}

// refuses fails the test unless the answer is a problem of a status that says something.
func refuses(tb testing.TB, a answer, status int, says string) {
	tb.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, says) {
		tb.Errorf("status %d, %s: %s; want the problem %d that says %q", a.status, a.header.Get("Content-Type"), a.body, status, says)
	}
}

// awaitLetters waits until the group has so many dead letters.
func (r *rig) awaitLetters(tb testing.TB, n int) LetterPage {
	tb.Helper()
	var page LetterPage
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if page = decode[LetterPage](tb, r.get(tb, "/v1/groups/billing/dead-letters")); len(page.Letters) >= n {
			return page
		}
	}
	tb.Fatalf("%d letters; want %d", len(page.Letters), n)
	return page
}
