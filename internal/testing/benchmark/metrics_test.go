package benchmark

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker/telemetry"
)

// BenchmarkMetrics: JetStream and a store, with everything measured against nothing, by turns. In
// memory the store costs nothing, so that what measuring takes shows most.
func BenchmarkMetrics(b *testing.B) {
	for name, open := range map[string]func(*testing.B, *rig) dedupe.Store{
		"kv": func(b *testing.B, r *rig) dedupe.Store {
			store, err := kvdedupe.New(b.Context(), r.nc, nil)
			must(b, err)
			b.Cleanup(func() { must(b, store.Close()) })
			return store
		},
		"memory": func(b *testing.B, _ *rig) dedupe.Store {
			store, err := memdedupe.New(nil)
			must(b, err)
			return store
		},
	} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b)
			r.measured(perRound/5, open(b, r))
		})
	}
}

// measured handles all events with and without metrics. Which comes first changes. Beside how long
// they took it reports the medians of the pairs, and the time of the processors, in which other
// processes of a loaded machine do not show.
func (r *rig) measured(events int, store dedupe.Store) {
	r.b.Helper()
	metrics, err := telemetry.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())), nil)
	must(r.b, err)
	defer func() { must(r.b, metrics.Close()) }()
	r.fill(events)
	var sum rates
	var pairs, processors []float64
	for measureFirst := false; r.b.Loop(); measureFirst = !measureFirst {
		var took, used [2]time.Duration // without, and with
		for i := range 2 {
			measure := (i == 0) == measureFirst
			o := consumer.Options{Concurrency: 512}
			if measure {
				o.Observer = metrics.Observer(topic, fmt.Sprintf("%s-%d", group, r.round))
			}
			at, before := 0, processorTime(r.b)
			if measure {
				at = 1
			}
			took[at] = r.handleWith(topic, events, store, o)
			used[at] = processorTime(r.b) - before
		}
		sum.baseline, sum.ours, sum.events = sum.baseline+took[0], sum.ours+took[1], sum.events+events
		pairs = append(pairs, took[0].Seconds()/took[1].Seconds())
		processors = append(processors, used[0].Seconds()/used[1].Seconds())
	}
	sum.report(r.b, "unmeasured")
	r.b.ReportMetric(median(pairs), "median-x-of-unmeasured")
	r.b.ReportMetric(median(processors), "median-x-of-processor-time")
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// processorTime is what this process has used, the server in it included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
