package export

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// SendsByOTLP reports whether the environment says that metrics are sent by OTLP: there is an
// endpoint in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT and
// OTEL_METRICS_EXPORTER names no other exporter, or it names "otlp". OTEL_SDK_DISABLED=true turns
// it off.
func SendsByOTLP() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if named := os.Getenv("OTEL_METRICS_EXPORTER"); named != "" {
		return slices.ContainsFunc(strings.Split(named, ","), func(name string) bool { return strings.TrimSpace(name) == "otlp" })
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") != ""
}

// newSender returns what sends metrics over HTTP. It does not connect yet.
func newSender(ctx context.Context, log *slog.Logger) (*reportingExporter, error) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			log.Warn("metrics are sent by OTLP over http/protobuf alone", "variable", name, "value", protocol)
			break
		}
	}
	sender, err := otlpmetrichttp.New(ctx)
	if err != nil {
		return nil, err
	}
	return &reportingExporter{Exporter: sender, log: log}, nil
}

// reportingExporter logs that metrics are not taken, and that they are again, once each. Its user
// would otherwise log each failure elsewhere.
type reportingExporter struct {
	sdkmetric.Exporter

	log  *slog.Logger
	down atomic.Bool
}

// Export implements sdkmetric.Exporter. It returns no error.
func (e *reportingExporter) Export(ctx context.Context, data *metricdata.ResourceMetrics) error {
	switch err := e.Exporter.Export(ctx, data); {
	case err == nil:
		if e.down.CompareAndSwap(true, false) {
			e.log.Info("metrics are sent again")
		}
	case e.down.CompareAndSwap(false, true):
		e.log.Warn("metrics could not be sent; the next ones include them", "error", withoutURL(err))
	}
	return nil
}

// withoutURL is what an error says without the URL, which may hold a token.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
