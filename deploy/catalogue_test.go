package deploy

import (
	"maps"
	"slices"
	"testing"

	"github.com/onceish/onceish/worker/telemetry"
)

// workerMetrics are those that workers have, with their labels and that of the scrape.
func workerMetrics(t *testing.T) metricLabels {
	t.Helper()
	known := maps.Clone(foreign)
	for _, m := range telemetry.Catalogue() {
		known[m.Prometheus] = append(slices.Clip(m.Labels), "instance")
	}
	return known
}
