package traceexport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Exporter sends the spans of a process. Its methods are safe for concurrent use.
type Exporter struct {
	sender   *otlptrace.Exporter
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// Open returns an exporter that is configured by the environment alone, and does not connect yet.
// Service and version describe the process where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do
// not. The caller calls Close.
func Open(ctx context.Context, service, version string, log *slog.Logger) (*Exporter, error) {
	warnOfProtocol(log)
	sender, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w: see the variables OTEL_EXPORTER_OTLP_…", withoutURL(err))
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&reportingExporter{SpanExporter: sender, log: log}),
		sdktrace.WithSampler(newSampler(log)),
		sdktrace.WithResource(newResource(ctx, service, version, log)),
	)
	return &Exporter{sender: sender, provider: provider, log: log}, nil
}

// Provider is where spans are made.
func (x *Exporter) Provider() trace.TracerProvider { return x.provider }

// Close sends the spans that were ended, and waits no longer than within for that: what was not
// taken by then is dropped, and logged.
func (x *Exporter) Close(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := x.provider.Shutdown(ctx)
	if err != nil {
		x.log.Warn("the last spans were not sent", "error", withoutURL(err))
	}
	// What still sends ends with it.
	if err := x.sender.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		x.log.Debug("the exporter of spans did not stop as it should", "error", withoutURL(err))
	}
}

// newResource describes the process.
func newResource(ctx context.Context, service, version string, log *slog.Logger) *resource.Resource {
	host, _ := os.Hostname() // it is there to be read by people
	r, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", service), attribute.String("service.version", version),
			attribute.String("service.instance.id", fmt.Sprintf("%s:%d", host, os.Getpid())),
		),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(),
	)
	if err != nil {
		log.Warn("the description of the process is not complete: see OTEL_RESOURCE_ATTRIBUTES", "error", err)
	}
	return r
}

// reportingExporter logs that spans are not taken, and that they are again, once each. Its user
// would otherwise log each failure elsewhere.
type reportingExporter struct {
	sdktrace.SpanExporter

	log  *slog.Logger
	down atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error.
func (e *reportingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	switch err := e.SpanExporter.ExportSpans(ctx, spans); {
	case err == nil:
		if e.down.CompareAndSwap(true, false) {
			e.log.Info("spans are sent again")
		}
	case e.down.CompareAndSwap(false, true):
		e.log.Warn("spans could not be sent, and are dropped until they can", "error", withoutURL(err))
	}
	return nil
}

var anyURL = regexp.MustCompile(`[a-z]+://\S+`)

// maxErrorText bounds what is logged of an error, which may have what a receiver answered.
const maxErrorText = 300

// withoutURL is an error without the URLs in its text, which may hold a token.
func withoutURL(err error) error {
	text := anyURL.ReplaceAllString(err.Error(), "the endpoint")
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}
	return errors.New(text)
}
