package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/exemplar"
	"go.opentelemetry.io/otel/sdk/resource"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker"
	"github.com/onceish/onceish/worker/telemetry"
)

// Exporter exports the metrics of one worker.
type Exporter struct {
	metrics  *telemetry.Metrics
	provider *sdkmetric.MeterProvider
	handler  http.Handler
	sender   *reportingExporter // nil: nothing is sent
	server   *server            // nil: nothing is served
	log      *slog.Logger
	release  func() // what is observed
}

// maxSeries bounds the series of one metric, which their labels do as well: nobody has so many
// topics.
const maxSeries = 20_000

// flushTime is how long the last export may take.
const flushTime = time.Second

// Add measures a worker and exports that. It is called before Worker.Run, which serves and closes
// it. It returns an error if it cannot listen, and asks no server of OTLP.
func Add(ctx context.Context, w *worker.Worker, o *Options) (*Exporter, error) {
	opts := o.withDefaults(w)
	e := &Exporter{log: opts.Logger}
	var err error
	if err = e.makeProvider(ctx, &opts); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if e.metrics, err = telemetry.New(e.provider, &telemetry.Options{Version: opts.Version}); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), e.shutDown())
	}
	if opts.Address != "" {
		if e.server, err = listen(ctx, opts.Address, e.handler, e.log); err != nil {
			return nil, errors.Join(fmt.Errorf("metrics: %w", err), e.shutDown())
		}
		w.Add(e.server.actor())
	}
	e.observe(w)
	w.Defer(e.close)
	return e, nil
}

// Handler serves the metrics to Prometheus; nil without Options.Address. It is safe for concurrent
// use.
func (e *Exporter) Handler() http.Handler { return e.handler }

// observe begins to measure.
func (e *Exporter) observe(w *worker.Worker) {
	w.Observe(func(topic, group string) consumer.Observer { return e.metrics.Observer(topic, group) })
	e.release = e.metrics.Follow(func() telemetry.State { return stateOf(w.Snapshot()) })
	if b, ok := w.Bus().(*natsbus.Bus); ok {
		b.ObservePublish(e.metrics.ObservePublish)
		stop := e.release
		e.release = func() {
			b.ObservePublish(nil)
			stop()
		}
	}
}

// close stops serving, sends what is left, and stops measuring. That a receiver does not take it is
// no error of the worker.
func (e *Exporter) close() (err error) {
	if e.server != nil {
		err = e.server.close()
	}
	if failed := e.shutDown(); e.sender != nil && (failed != nil || e.sender.down.Load()) {
		e.log.Warn("the last metrics were not sent")
	}
	e.release()
	return errors.Join(err, e.metrics.Close())
}

// shutDown ends the export.
func (e *Exporter) shutDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	return e.provider.Shutdown(ctx)
}

// makeProvider makes what collects the metrics, and what serves and sends them.
func (e *Exporter) makeProvider(ctx context.Context, o *Options) (err error) {
	options := []sdkmetric.Option{
		sdkmetric.WithResource(newResource(ctx, o)), sdkmetric.WithCardinalityLimit(maxSeries),
		sdkmetric.WithExemplarFilter(exemplar.AlwaysOffFilter), // measurements have no traces
	}
	if o.Address != "" {
		var reader sdkmetric.Reader
		if reader, e.handler, err = newPrometheus(o.Logger); err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	if SendsByOTLP() {
		if e.sender, err = newSender(ctx, o.Logger); err != nil {
			return err
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(e.sender)))
	}
	e.provider = sdkmetric.NewMeterProvider(options...)
	return nil
}

// newResource describes the process. The environment goes before what the program says.
func newResource(ctx context.Context, o *Options) *resource.Resource {
	host, _ := os.Hostname() // it is there to be read by people
	r, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid())),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		o.Logger.Warn("the description of the process is not complete: see OTEL_RESOURCE_ATTRIBUTES", "error", err)
	}
	return r
}
