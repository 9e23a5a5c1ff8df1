package export

import (
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

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

// followPublisher returns the sampler that does as the parent of a span does, or, for a new trace
// with links, as the spans do that these lead to: an event is sampled with all its retries, or with
// none. For other new traces it is the root sampler.
func followPublisher(root sdktrace.Sampler) sdktrace.Sampler {
	return sdktrace.ParentBased(linkBased{root})
}

// linkBased is a sampler for new traces.
type linkBased struct{ root sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (l linkBased) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	switch {
	case len(p.Links) == 0:
		return l.root.ShouldSample(p)
	case anySampled(p.Links):
		return sdktrace.AlwaysSample().ShouldSample(p)
	}
	return sdktrace.NeverSample().ShouldSample(p)
}

// Description implements sdktrace.Sampler.
func (l linkBased) Description() string { return "LinkBased{" + l.root.Description() + "}" }

func anySampled(links []trace.Link) bool {
	for _, l := range links {
		if l.SpanContext.IsSampled() {
			return true
		}
	}
	return false
}
