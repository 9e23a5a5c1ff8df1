package export

import (
	"cmp"
	"log/slog"

	"github.com/onceish/onceish/internal/plaintext"
)

// DefaultAddress is where metrics are served if nothing else is said.
const DefaultAddress = "127.0.0.1:9464"

// Options of AddMetrics and OpenTraces. The zero value means the defaults.
type Options struct {
	// Service is the name of the service, where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do
	// not say it. Empty: the group.
	Service string
	// Version is that of the program. Empty: "unknown".
	Version string
	// Strict refuses to send by OTLP without TLS to other machines. Without it that is logged as a
	// warning.
	Strict bool
	// Logger is told of exports that fail. Nil: the worker's, or slog.Default() without a worker.
	Logger *slog.Logger
}

func (o *Options) withDefaults(group string, log *slog.Logger) *Options {
	out := *cmp.Or(o, &Options{})
	out.Service = cmp.Or(out.Service, group)
	out.Version = cmp.Or(out.Version, "unknown")
	out.Logger = cmp.Or(out.Logger, log)
	return &out
}

func (o *Options) plaintextPolicy() plaintext.Policy {
	return plaintext.Policy{Strict: o.Strict, Logger: o.Logger}
}
