package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/onceish/onceish/internal/commandline"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/config"
	"github.com/onceish/onceish/worker/telemetry"
	"github.com/onceish/onceish/worker/telemetry/export"
)

// workerTraces are the spans of a worker. Nil: none are made.
type workerTraces struct {
	*telemetry.Traces

	exporter *export.Traces
	drain    time.Duration

	mu    sync.Mutex
	began time.Time // when the worker began to drain; zero: it has not
}

// openTraces returns the spans of a worker where the environment says that they are sent; else nil.
func openTraces(ctx context.Context, c *config.Config, log *slog.Logger) (*workerTraces, error) {
	if !export.SendsTraces() {
		return nil, nil //nolint:nilnil // there are none
	}
	x, err := export.OpenTraces(ctx, c.Group, &export.Options{Version: commandline.Version(), Strict: c.Strict, Logger: log})
	if err != nil {
		return nil, err
	}
	return &workerTraces{Traces: telemetry.NewTraces(x.Provider()), exporter: x, drain: c.Drain}, nil
}

// addTo has a worker make spans.
func (t *workerTraces) addTo(w *worker.Worker) {
	if t == nil {
		return
	}
	w.Instrument(t)
	stopped := make(chan struct{})
	w.Add(worker.Actor{
		Name: "traces",
		Run: func() error {
			<-stopped
			return nil
		},
		Stop: func(error) {
			t.mu.Lock()
			t.began = time.Now()
			t.mu.Unlock()
			close(stopped)
		},
	})
}

// transport is a httphandler.Options.Transport; nil where no spans are made.
func (t *workerTraces) transport() func(http.RoundTripper) http.RoundTripper {
	if t == nil {
		return nil
	}
	return t.RoundTripper
}

// The spans that are left when a worker has ended are sent within flushTime, and within what it had
// to end, which is drainMargin beyond its drain time-out: with the end of the process that is five
// seconds. They have leastFlushTime in any case.
const (
	flushTime      = time.Second
	leastFlushTime = 100 * time.Millisecond
	drainMargin    = 4500 * time.Millisecond
)

// close sends what is left.
func (t *workerTraces) close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	left := flushTime
	if !t.began.IsZero() {
		left = min(left, time.Until(t.began.Add(t.drain+drainMargin)))
	}
	t.mu.Unlock()
	t.exporter.Close(max(left, leastFlushTime))
}
