package export

import (
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestSamplerOfTheEnvironment(t *testing.T) {
	follows := func(root string) string { return "ParentBased{root:LinkBased{" + root + "}" }
	for name, c := range map[string]struct{ sampler, arg, want, logged string }{
		"default":             {"", "", follows("AlwaysOnSampler"), ""},
		"always on":           {"always_on", "", "AlwaysOnSampler", ""},
		"always off":          {"always_off", "", "AlwaysOffSampler", ""},
		"ratio":               {"traceidratio", "0.25", "TraceIDRatioBased{0.25}", ""},
		"publisher":           {"parentbased_always_on", "", follows("AlwaysOnSampler"), ""},
		"publisher, or none":  {"parentbased_always_off", "", follows("AlwaysOffSampler"), ""},
		"publisher, or ratio": {"PARENTBASED_traceidratio ", "0.01", follows("TraceIDRatioBased{0.01}"), ""},
		"no ratio":            {"traceidratio", "", "TraceIDRatioBased{1}", ""},
		"no number":           {"traceidratio", "1%", "TraceIDRatioBased{1}", "OTEL_TRACES_SAMPLER_ARG"},
		"not a number":        {"traceidratio", "NaN", "TraceIDRatioBased{1}", "OTEL_TRACES_SAMPLER_ARG"},
		"too much":            {"traceidratio", "2", "TraceIDRatioBased{1}", "OTEL_TRACES_SAMPLER_ARG"},
		"negative":            {"traceidratio", "-1", "TraceIDRatioBased{1}", "OTEL_TRACES_SAMPLER_ARG"},
		"unknown":             {"jaeger_remote", "", follows("AlwaysOnSampler"), "jaeger_remote"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
			text, log := newLog()
			if got := newSampler(log).Description(); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if s := text.String(); (s != "") != (c.logged != "") || !strings.Contains(s, c.logged) {
				t.Errorf("logged %q, want %q", s, c.logged)
			}
		})
	}
}

// A retry is a trace of its own. It is sampled if the event was, whatever the ratio says.
func TestTracesWithLinksFollowThese(t *testing.T) {
	t.Parallel()
	spanContext := func(flags trace.TraceFlags) trace.Link {
		return trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: flags})}
	}
	for name, c := range map[string]struct {
		root  sdktrace.Sampler
		links []trace.Link
		want  sdktrace.SamplingDecision
	}{
		"sampled":        {sdktrace.NeverSample(), []trace.Link{spanContext(0), spanContext(trace.FlagsSampled)}, sdktrace.RecordAndSample},
		"not sampled":    {sdktrace.AlwaysSample(), []trace.Link{spanContext(0)}, sdktrace.Drop},
		"no links":       {sdktrace.AlwaysSample(), nil, sdktrace.RecordAndSample},
		"no links, none": {sdktrace.NeverSample(), nil, sdktrace.Drop},
	} {
		got := followPublisher(c.root).ShouldSample(sdktrace.SamplingParameters{ParentContext: t.Context(), Links: c.links})
		if got.Decision != c.want {
			t.Errorf("%s: %v, want %v", name, got.Decision, c.want)
		}
	}
}
