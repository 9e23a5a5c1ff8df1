package telemetry_test

import (
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// wantNoCanary looks for a secret everywhere in a span.
func wantNoCanary(t *testing.T, s sdktrace.ReadOnlySpan, canary string) {
	t.Helper()
	texts := attributesOf(s.Attributes())
	texts["name"], texts["status"] = s.Name(), s.Status().Description
	texts["state"] = s.SpanContext().TraceState().String()
	for _, e := range s.Events() {
		for k, v := range attributesOf(e.Attributes) {
			texts[e.Name+" "+k] = v
		}
	}
	for _, l := range s.Links() {
		for k, v := range attributesOf(l.Attributes) {
			texts["link "+k] = v
		}
	}
	for k, v := range texts {
		if strings.Contains(v, canary) {
			t.Errorf("%q: %s has the secret: %.200q", s.Name(), k, v)
		}
	}
}
