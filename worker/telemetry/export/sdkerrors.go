package export

import (
	"log/slog"

	"go.opentelemetry.io/otel"
)

// LogErrors has what OpenTelemetry's SDK cannot tell its caller logged as a warning, in this whole
// process, such as that a receiver took a part of what it was sent. Otherwise the SDK writes it to
// standard error as it is. URLs and what receivers answer are left out.
func LogErrors(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("OpenTelemetry reports an error", "error", loggable(err))
	}))
}
