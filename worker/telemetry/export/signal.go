package export

import (
	"log/slog"
	"os"
	"slices"
	"strings"
)

// signal is a kind of what is sent by OTLP. The standard variables of each have names of their own.
type signal struct {
	name string // in variables
	what string // in messages
}

var (
	metricsSignal = signal{"METRICS", "metrics"}
	tracesSignal  = signal{"TRACES", "spans"}
)

// SendsMetrics reports whether the environment says that metrics are sent by OTLP: there is an
// endpoint in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT and
// OTEL_METRICS_EXPORTER names no other exporter, or it names "otlp". OTEL_SDK_DISABLED=true turns
// it off.
func SendsMetrics() bool { return metricsSignal.isSent() }

// SendsTraces is SendsMetrics of spans: the variables are OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and
// OTEL_TRACES_EXPORTER.
func SendsTraces() bool { return tracesSignal.isSent() }

func (s signal) isSent() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if named := os.Getenv("OTEL_" + s.name + "_EXPORTER"); named != "" {
		return slices.ContainsFunc(strings.Split(named, ","), func(name string) bool { return strings.TrimSpace(name) == "otlp" })
	}
	return slices.ContainsFunc(s.variables("ENDPOINT"), func(name string) bool { return os.Getenv(name) != "" })
}

// variables are the two names of a setting: that of the signal, and that of all signals, which
// counts where the other is empty.
func (s signal) variables(setting string) []string {
	const prefix = "OTEL_EXPORTER_OTLP_"
	return []string{prefix + s.name + "_" + setting, prefix + setting}
}

// warnOfProtocol warns of a protocol that is not spoken.
func (s signal) warnOfProtocol(log *slog.Logger) {
	for _, name := range s.variables("PROTOCOL") {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			log.Warn(s.what+" are sent by OTLP over http/protobuf alone: see that the endpoint takes that, at port 4318 as a rule", "variable", name, "value", protocol)
			return
		}
	}
}
