package export

import (
	"strings"
	"testing"
)

// unsetStandard makes the test independent of the environment.
func unsetStandard(t *testing.T) {
	t.Helper()
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_METRIC_EXPORT_INTERVAL"} {
		t.Setenv(name, "")
	}
	for _, s := range []signal{metricsSignal, tracesSignal} {
		t.Setenv("OTEL_"+s.name+"_EXPORTER", "")
		for _, setting := range []string{"ENDPOINT", "INSECURE", "PROTOCOL", "COMPRESSION", "HEADERS"} {
			for _, name := range s.variables(setting) {
				t.Setenv(name, "")
			}
		}
	}
}

// Each signal is turned on by its own variables and by those of all.
func TestStandardVariablesTurnOTLPOn(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, c := range map[string]struct {
		env             map[string]string
		metrics, traces bool
	}{
		"nothing":             {nil, false, false},
		"endpoint":            {map[string]string{endpoint: "http://h:4318"}, true, true},
		"endpoint of metrics": {map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h:4318/v1/metrics"}, true, false},
		"endpoint of traces":  {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:4318/v1/traces"}, false, true},
		"exporter of metrics": {map[string]string{"OTEL_METRICS_EXPORTER": "otlp"}, true, false},
		"exporter of traces":  {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, false, true},
		"exporters":           {map[string]string{"OTEL_METRICS_EXPORTER": "prometheus, otlp", "OTEL_TRACES_EXPORTER": "console, otlp"}, true, true},
		"no metrics":          {map[string]string{endpoint: "http://h:4318", "OTEL_METRICS_EXPORTER": "none"}, false, true},
		"no traces":           {map[string]string{endpoint: "http://h:4318", "OTEL_TRACES_EXPORTER": "none"}, true, false},
		"exporters of others": {map[string]string{endpoint: "http://h:4318", "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "zipkin"}, false, false},
		"disabled":            {map[string]string{endpoint: "http://h:4318", "OTEL_SDK_DISABLED": "True"}, false, false},
		"not disabled":        {map[string]string{endpoint: "http://h:4318", "OTEL_SDK_DISABLED": "no"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			unsetStandard(t)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			if metrics, traces := SendsMetrics(), SendsTraces(); metrics != c.metrics || traces != c.traces {
				t.Errorf("metrics %v, traces %v", metrics, traces)
			}
		})
	}
}

// The variable that counts is named.
func TestUnknownProtocolIsWarnedOf(t *testing.T) {
	for variable, signals := range map[string][]signal{
		"OTEL_EXPORTER_OTLP_PROTOCOL": {metricsSignal, tracesSignal}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": {tracesSignal}, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": {metricsSignal},
	} {
		unsetStandard(t)
		t.Setenv(variable, "grpc")
		for _, s := range signals {
			text, log := newLog()
			if s.warnOfProtocol(log); !strings.Contains(text.String(), s.what) || !strings.Contains(text.String(), variable) {
				t.Errorf("logged: %s", text)
			}
		}
	}
}
