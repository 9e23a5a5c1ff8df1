package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces sends the spans of a process. Its methods are safe for concurrent use.
type Traces struct {
	sender   *otlptrace.Exporter
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// OpenTraces returns what sends the spans of a process of a group, as the environment says. It does
// not connect yet. It returns worker.ErrUsage for variables that cannot be read, and for an
// endpoint that Options.Strict refuses. The caller calls Close.
func OpenTraces(ctx context.Context, group string, o *Options) (*Traces, error) {
	o = o.withDefaults(group, slog.Default())
	if err := tracesSignal.checkVariables(o.plaintextPolicy()); err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	tracesSignal.warnOfProtocol(o.Logger)
	sender, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("traces: %w: see the variables OTEL_EXPORTER_OTLP_…", loggable(err))
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(newSpanSender(sender, o.Logger), batchOptions(o.Logger)...),
		sdktrace.WithSampler(newSampler(o.Logger)),
		sdktrace.WithResource(newResource(ctx, o)),
	)
	return &Traces{sender: sender, provider: provider, log: o.Logger}, nil
}

// Provider is where spans are made.
func (t *Traces) Provider() trace.TracerProvider { return t.provider }

// Close sends the spans that were ended, and waits no longer than within for that: what was not
// taken by then is dropped, and logged.
func (t *Traces) Close(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	if err != nil {
		t.log.Warn("the last spans were not sent", "error", loggable(err))
	}
	// What still sends ends with it.
	if err := t.sender.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.log.Debug("the exporter of spans did not stop as it should", "error", loggable(err))
	}
}

// spanSender logs outages of the receiver.
type spanSender struct {
	sdktrace.SpanExporter

	outages *outageLog
}

func newSpanSender(e sdktrace.SpanExporter, log *slog.Logger) *spanSender {
	return &spanSender{e, &outageLog{log: log, begun: "spans could not be sent, and are dropped until they can", ended: "spans are sent again"}}
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error.
func (s *spanSender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.outages.note(s.SpanExporter.ExportSpans(ctx, spans))
	return nil
}
