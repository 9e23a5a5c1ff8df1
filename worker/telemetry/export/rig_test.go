package export

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	membus "github.com/onceish/onceish/bus/memory"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
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

// inMemory are connections to a bus and a store in memory.
func inMemory(tb testing.TB) *worker.Connections {
	tb.Helper()
	b, err := membus.New(nil)
	must(tb, err)
	store, err := memdedupe.New(nil)
	must(tb, err)
	return worker.Over(b, store)
}

// rig is a worker that is measured.
type rig struct {
	worker   *worker.Worker
	exporter *Metrics
	log      *syncBuffer
	started  chan struct{}
}

// newRig makes a worker of the group "billing", whose metrics are served at the address.
func newRig(tb testing.TB, c *worker.Connections, address string) *rig {
	tb.Helper()
	r := &rig{log: &syncBuffer{}, started: make(chan struct{})}
	var err error
	r.worker, err = worker.New("billing", c, &worker.Options{
		Logger: slog.New(slog.NewTextHandler(r.log, nil)), Started: func() { close(r.started) },
	})
	must(tb, err)
	r.exporter, err = AddMetrics(tb.Context(), r.worker, address, nil)
	must(tb, err)
	return r
}

// run runs the worker, and returns what ends it, which returns its error. It ends with the test at
// the latest.
func (r *rig) run(tb testing.TB) (end func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.worker.Run(ctx) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	tb.Cleanup(func() { must(tb, end()) })
	select {
	case <-r.started:
	case err := <-ended:
		ended <- err
		tb.Fatal("the worker has ended:", err)
	}
	return end
}

// get makes a request, and returns its answer.
func get(tb testing.TB, url string) (status int, body string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	must(tb, err)
	tb.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(tb, err)
	defer func() { must(tb, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	must(tb, err)
	return resp.StatusCode, string(text)
}

// scrape returns what Prometheus is told.
func (r *rig) scrape(tb testing.TB) string {
	tb.Helper()
	status, text := get(tb, r.exporter.server.url())
	if status != http.StatusOK {
		tb.Fatalf("status %d: %s", status, text)
	}
	return text
}

// awaitScrape scrapes until the answer has a text.
func (r *rig) awaitScrape(tb testing.TB, want string) {
	tb.Helper()
	text := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if text = r.scrape(tb); strings.Contains(text, want) {
			return
		}
	}
	tb.Fatalf("there is no %s in\n%s", want, text)
}
