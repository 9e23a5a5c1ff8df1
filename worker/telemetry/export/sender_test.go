package export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/onceish/onceish/bus"
)

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

// What was measured since the last export is sent when the worker ends.
func TestWorkerThatEndsSendsWhatIsLeft(t *testing.T) {
	unsetStandard(t)
	received := make(chan []byte, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- append([]byte(r.URL.Path+"\n"), body...)
	}))
	defer receiver.Close()
	t.Setenv(endpoint, receiver.URL)
	t.Setenv("OTEL_SERVICE_NAME", "shop")
	c := inMemory(t)
	r := newRig(t, c, "")
	handled := make(chan struct{})
	r.worker.Handle("t", func(context.Context, bus.Event) error {
		close(handled)
		return nil
	}, nil)
	end := r.run(t)
	_, err := c.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: "t"})
	must(t, err)
	<-handled
	must(t, end())
	var last []byte
	for len(received) > 0 {
		last = <-received
	}
	for _, want := range []string{"/v1/metrics\n", "onceish.deliveries", "handled", "service.name", "shop"} {
		if !bytes.Contains(last, []byte(want)) {
			t.Errorf("%s is not in the last export: %q", want, last)
		}
	}
	if r.exporter.Handler() != nil {
		t.Error("metrics are served, and nobody said where")
	}
}

// The receiver answers nothing before the worker has ended.
func TestReceiverThatHangsDoesNotHoldUpTheWorker(t *testing.T) {
	unsetStandard(t)
	release := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer receiver.Close()
	defer close(release)
	t.Setenv(endpoint, receiver.URL)
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
	c := inMemory(t)
	r := newRig(t, c, "")
	handled := make(chan struct{})
	r.worker.Handle("t", func(context.Context, bus.Event) error {
		close(handled)
		return nil
	}, nil)
	end := r.run(t)
	_, err := c.Bus().Publish(t.Context(), bus.Event{ID: "1", Topic: "t"})
	must(t, err)
	<-handled
	must(t, end())
	if !strings.Contains(r.log.String(), "the last metrics were not sent") {
		t.Error("it is not logged:", r.log)
	}
}

// An outage is logged when it begins and when it is over, without the URL, and never as an error of
// the worker.
func TestOutageOfTheReceiverIsLoggedOnce(t *testing.T) {
	unsetStandard(t)
	t.Setenv(endpoint, "http://hunter2:hunter2@127.0.0.1:1/hunter2?hunter2")
	log := &syncBuffer{}
	down := &fakeExporter{}
	e := &metricSender{down, newMetricOutages(slog.New(slog.NewTextHandler(log, nil)))}
	for _, err := range []error{nil, errors.New("refused"), errors.New("refused"), nil, nil} {
		down.err = err
		must(t, e.Export(t.Context(), &metricdata.ResourceMetrics{}))
	}
	if text := log.String(); strings.Count(text, "metrics could not be sent") != 1 || strings.Count(text, "metrics are sent again") != 1 || strings.Count(text, "\n") != 2 {
		t.Errorf("the log: %s", text)
	}
	r := newRig(t, inMemory(t), "")
	r.worker.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
	must(t, r.run(t)())
	if text := r.log.String(); !strings.Contains(text, "metrics could not be sent") || strings.Contains(text, "hunter2") {
		t.Errorf("the log: %s", text)
	}
}

type fakeExporter struct {
	sdkmetric.Exporter

	err error
}

// Export implements sdkmetric.Exporter.
func (f *fakeExporter) Export(context.Context, *metricdata.ResourceMetrics) error { return f.err }
