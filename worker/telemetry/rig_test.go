package telemetry_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/onceish/onceish/worker/telemetry"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// rig is metrics and what has been measured.
type rig struct {
	*telemetry.Metrics

	reader *sdkmetric.ManualReader
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithCardinalityLimit(0))
	m, err := telemetry.New(provider, &telemetry.Options{Version: "1.2.3"})
	must(tb, err)
	tb.Cleanup(func() { must(tb, m.Close()) })
	return &rig{Metrics: m, reader: reader}
}

// series are the values of all series, by name and labels: of a histogram how much was measured.
func (r *rig) series(tb testing.TB) map[string]float64 {
	tb.Helper()
	var collected metricdata.ResourceMetrics
	must(tb, r.reader.Collect(tb.Context(), &collected))
	out := make(map[string]float64)
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			addSeries(tb, out, m)
		}
	}
	return out
}

func addSeries(tb testing.TB, to map[string]float64, m metricdata.Metrics) {
	tb.Helper()
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		addPoints(to, m.Name, d.DataPoints)
	case metricdata.Gauge[int64]:
		addPoints(to, m.Name, d.DataPoints)
	case metricdata.Gauge[float64]:
		addPoints(to, m.Name, d.DataPoints)
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			to[m.Name+labels(p.Attributes)] = float64(p.Count)
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			to[m.Name+labels(p.Attributes)] = float64(p.Count)
		}
	default:
		tb.Fatalf("%s: %T", m.Name, m.Data)
	}
}

func addPoints[N int64 | float64](to map[string]float64, name string, points []metricdata.DataPoint[N]) {
	for _, p := range points {
		to[name+labels(p.Attributes)] = float64(p.Value)
	}
}

// labels are written as {group=billing,topic=order.placed}; those that are always the same are left
// out.
func labels(s attribute.Set) string {
	var parts []string
	for _, kv := range s.ToSlice() {
		switch key := string(kv.Key); key {
		case "messaging.system", "messaging.operation.type":
		default:
			parts = append(parts, fmt.Sprintf("%s=%s", strings.TrimPrefix(key, "messaging."), kv.Value.String()))
		}
	}
	sort.Strings(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

// wants fails the test unless the series have these values.
func (r *rig) wants(tb testing.TB, want map[string]float64) {
	tb.Helper()
	got := r.series(tb)
	for name, value := range want {
		if found, ok := got[name]; !ok || found != value {
			tb.Errorf("%s is %v (there: %v); want %v", name, found, ok, value)
		}
	}
	if tb.Failed() {
		tb.Logf("measured: %v", got)
	}
}

// has reports whether a metric has any series.
func (r *rig) has(tb testing.TB, name string) bool {
	tb.Helper()
	for series := range r.series(tb) {
		if strings.HasPrefix(series, name+"{") {
			return true
		}
	}
	return false
}
