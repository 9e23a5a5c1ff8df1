package export

import (
	"cmp"
	"log/slog"

	"github.com/onceish/onceish/worker"
)

// DefaultAddress is where metrics are served if nothing else is said.
const DefaultAddress = "127.0.0.1:9464"

// Options of Add. The zero value means the defaults.
type Options struct {
	// Address is where metrics are served for Prometheus, under /metrics: a host and a port such as
	// DefaultAddress. ":9464" is all addresses of the machine; port 0 is a free one. Empty: they
	// are not served.
	Address string
	// Service is the name of the service, where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do
	// not say it. Empty: the group.
	Service string
	// Version is that of the program. Empty: "unknown".
	Version string
	// Logger is told of exports that fail. Nil: the worker's.
	Logger *slog.Logger
}

func (o *Options) withDefaults(w *worker.Worker) Options {
	out := *cmp.Or(o, &Options{})
	out.Service = cmp.Or(out.Service, w.Group())
	out.Version = cmp.Or(out.Version, "unknown")
	out.Logger = cmp.Or(out.Logger, w.Logger())
	return out
}
