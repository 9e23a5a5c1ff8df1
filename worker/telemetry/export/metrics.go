package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/telemetry"
)

// Metrics exports the metrics of one worker.
type Metrics struct {
	metrics  *telemetry.Metrics
	provider *sdkmetric.MeterProvider
	handler  http.Handler
	sender   *metricSender // nil: nothing is sent
	server   *server       // nil: nothing is served
	log      *slog.Logger
	release  func() // what is observed
}

// maxSeries bounds the series of one metric, which their labels do as well: nobody has so many
// topics.
const maxSeries = 20_000

// flushTime is how long the last export may take.
const flushTime = time.Second

// AddMetrics measures a worker, and exports that: it serves metrics for Prometheus under /metrics
// at the address, and sends them by OTLP if SendsMetrics. The address is a host and a port such as
// DefaultAddress. ":9464" is all addresses of the machine; port 0 is a free one. Empty: metrics are
// not served. It is called before Worker.Run, which serves and closes what it returns. It returns
// an error if it cannot listen, and worker.ErrUsage for variables of OTLP that cannot be read, and
// for an endpoint that Options.Strict refuses. It does not connect to the receiver.
func AddMetrics(ctx context.Context, w *worker.Worker, address string, o *Options) (*Metrics, error) {
	o = o.withDefaults(w.Group(), w.Logger())
	m := &Metrics{log: o.Logger}
	var err error
	if err = m.makeProvider(ctx, address != "", o); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if m.metrics, err = telemetry.New(m.provider, &telemetry.Options{Version: o.Version}); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), m.shutDown())
	}
	if address != "" {
		if m.server, err = newServer(ctx, address, m.handler, m.log); err != nil {
			return nil, errors.Join(fmt.Errorf("metrics: %w", err), m.shutDown())
		}
		w.Add(m.server.actor())
	}
	m.observe(w)
	w.Defer(m.close)
	return m, nil
}

// Handler serves the metrics to Prometheus; nil without an address. It is safe for concurrent use.
func (m *Metrics) Handler() http.Handler { return m.handler }

// observe begins to measure.
func (m *Metrics) observe(w *worker.Worker) {
	w.Observe(func(topic, group string) consumer.Observer { return m.metrics.Observer(topic, group) })
	w.ObserveDeferral(func(topic, group string) deferral.Observer { return m.metrics.Deferral(topic, group) })
	m.release = m.metrics.Follow(func() telemetry.State { return stateOf(w.Snapshot()) })
	if b, ok := w.Bus().(*natsbus.Bus); ok {
		b.ObservePublish(m.metrics.ObservePublish)
		stop := m.release
		m.release = func() {
			b.ObservePublish(nil)
			stop()
		}
	}
}

// close stops serving, sends what is left, and stops measuring. That a receiver does not take it is
// no error of the worker.
func (m *Metrics) close() (err error) {
	if m.server != nil {
		err = m.server.close()
	}
	if failed := m.shutDown(); m.sender != nil && (failed != nil || m.sender.outages.down.Load()) {
		m.log.Warn("the last metrics were not sent")
	}
	m.release()
	return errors.Join(err, m.metrics.Close())
}

// shutDown ends the export.
func (m *Metrics) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	return m.provider.Shutdown(ctx)
}

// makeProvider makes what collects the metrics, and what serves and sends them.
func (m *Metrics) makeProvider(ctx context.Context, served bool, o *Options) (err error) {
	options := []sdkmetric.Option{
		sdkmetric.WithResource(newResource(ctx, o)), sdkmetric.WithCardinalityLimit(maxSeries),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter), // measurements have no traces
	}
	if served {
		var reader sdkmetric.Reader
		if reader, m.handler, err = newPrometheus(o.Logger); err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	if SendsMetrics() {
		if m.sender, err = newMetricSender(ctx, o); err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(m.sender)))
	}
	m.provider = sdkmetric.NewMeterProvider(options...)
	return nil
}

// metricSender sends metrics by OTLP, and logs outages of the receiver.
type metricSender struct {
	sdkmetric.Exporter

	outages *outageLog
}

// newMetricSender returns one that is configured by the environment. It does not connect yet.
func newMetricSender(ctx context.Context, o *Options) (*metricSender, error) {
	if err := metricsSignal.checkVariables(o.plaintextPolicy()); err != nil {
		return nil, err
	}
	metricsSignal.warnOfProtocol(o.Logger)
	e, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: see the variables OTEL_EXPORTER_OTLP_…", loggable(err))
	}
	return &metricSender{e, newMetricOutages(o.Logger)}, nil
}

func newMetricOutages(log *slog.Logger) *outageLog {
	return &outageLog{log: log, begun: "metrics could not be sent; the next ones include them", ended: "metrics are sent again"}
}

// Export implements sdkmetric.Exporter. It returns no error.
func (s *metricSender) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	s.outages.note(s.Exporter.Export(ctx, data))
	return nil
}
