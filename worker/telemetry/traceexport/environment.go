package traceexport

import (
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Enabled reports whether the environment says that spans are sent: OTEL_TRACES_EXPORTER has
// "otlp", or it is empty and there is an endpoint in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
// OTEL_EXPORTER_OTLP_ENDPOINT. OTEL_SDK_DISABLED=true turns it off.
func Enabled() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if named := os.Getenv("OTEL_TRACES_EXPORTER"); named != "" {
		return slices.ContainsFunc(strings.Split(named, ","), func(name string) bool { return strings.TrimSpace(name) == "otlp" })
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// warnOfProtocol warns of a protocol that is not spoken.
func warnOfProtocol(log *slog.Logger) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			log.Warn("spans are sent by OTLP over http/protobuf alone: see that the endpoint takes that, at port 4318 as a rule", "variable", name, "value", protocol)
			return
		}
	}
}

const (
	samplerVariable = "OTEL_TRACES_SAMPLER"
	ratioVariable   = "OTEL_TRACES_SAMPLER_ARG"

	defaultSampler = "parentbased_always_on"
)

// newSampler returns the sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name. As the
// specification has it, one that is not known is logged, and the default is taken.
func newSampler(log *slog.Logger) sdktrace.Sampler {
	name := strings.ToLower(strings.TrimSpace(os.Getenv(samplerVariable)))
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio(log))
	case "parentbased_always_off":
		return followPublisher(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return followPublisher(sdktrace.TraceIDRatioBased(ratio(log)))
	case "", defaultSampler:
	default:
		log.Warn("the sampler is not known, so the default is taken: choose always_on, always_off, traceidratio or one of these with parentbased_ before it",
			"variable", samplerVariable, "value", name, "default", defaultSampler)
	}
	return followPublisher(sdktrace.AlwaysSample())
}

// ratio is that of OTEL_TRACES_SAMPLER_ARG. Default: 1.
func ratio(log *slog.Logger) float64 {
	text := strings.TrimSpace(os.Getenv(ratioVariable))
	if text == "" {
		return 1
	}
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(r) || r < 0 || r > 1 {
		log.Warn("the ratio of sampled traces is not a number from 0 to 1, so all are sampled", "variable", ratioVariable, "value", text)
		return 1
	}
	return r
}
