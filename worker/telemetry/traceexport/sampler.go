package traceexport

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

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
