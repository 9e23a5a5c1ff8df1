package export

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/worker/telemetry"
)

// measureAll makes a series of each metric there is, with each label.
func measureAll(m *telemetry.Metrics) {
	failed := errors.New("failed")
	m.ObservePublish([]bus.Event{{Topic: "t"}}, []bus.Receipt{{Err: bus.ErrNoStream}}, time.Second)
	o := m.Observer("order.placed", "billing")
	o.ObserveFetch(consumer.Fetch{Events: 1, Took: time.Second, Err: failed})
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeHandled, Attempt: 1})
	o.ObserveAnswer(bus.Position{}, failed)
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeDead, Attempt: 10, Err: failed, Reason: "permanent"})
	o.Observe(consumer.Observation{Outcome: consumer.OutcomeLost})
	o.ObserveStoreCall(consumer.StoreCall{Operation: "claim", Items: 1, Err: failed})
	o.ObserveWatermark(bus.Position{})
	o.ObserveLimitWait(time.Second, true)
	o.ObserveCapacity(0, flow.Capacity{Limit: -1})
	m.Deferral("order.placed", "billing").ObserveDeferral(deferral.Observation{Outcome: deferral.OutcomeProcessed, Events: 240})
	o.ObserveBatch(consumer.BatchRun{Size: 7, End: consumer.BatchEndWait})
	margin := time.Hour
	m.Follow(func() telemetry.State {
		return telemetry.State{
			Subscriptions: []telemetry.SubscriptionState{{Topic: "order.placed", Group: "billing", TTLMargin: &margin, Partitions: &telemetry.PartitionState{Of: 8, Owned: 3}}},
			Outboxes:      []telemetry.OutboxState{{Name: "outbox"}},
			Groups:        []telemetry.GroupState{{Group: "billing"}},
		}
	})
}

func TestMetricsAreWhatTheCatalogueSays(t *testing.T) {
	r := newRig(t, inMemory(t), "127.0.0.1:0")
	r.worker.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
	r.run(t)
	measureAll(r.exporter.metrics)
	text := r.scrape(t)
	kinds, labels := readMetrics(text)
	for _, m := range telemetry.Catalogue() {
		if kinds[m.Prometheus] != string(m.Kind) {
			t.Errorf("%s is a %q; want a %s", m.Prometheus, kinds[m.Prometheus], m.Kind)
		}
		if found := labels[m.Prometheus]; !sameLabels(found, m.Labels) {
			t.Errorf("%s has the labels %q; want %q", m.Prometheus, found, m.Labels)
		}
		delete(kinds, m.Prometheus)
	}
	for name := range kinds {
		if strings.HasPrefix(name, "onceish_") || strings.HasPrefix(name, "messaging_") {
			t.Errorf("%s is not in the catalogue", name)
		}
	}
	for _, want := range []string{`target_info{`, `service_name="billing"`, "process_resident_memory_bytes", "go_goroutines"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s", want)
		}
	}
}

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	seriesLine = regexp.MustCompile(`(?m)^([a-z_]+)\{([^}]*)\} `)
	labelName  = regexp.MustCompile(`(\w+)="`)
)

// readMetrics returns the kinds of metrics, and the names of their labels, by their names.
func readMetrics(text string) (kinds map[string]string, labels map[string][]string) {
	kinds, labels = make(map[string]string), make(map[string][]string)
	for _, line := range typeLine.FindAllStringSubmatch(text, -1) {
		kinds[line[1]] = line[2]
	}
	for _, line := range seriesLine.FindAllStringSubmatch(text, -1) {
		name := line[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base := strings.TrimSuffix(name, suffix); kinds[base] == "histogram" {
				name = base
			}
		}
		for _, label := range labelName.FindAllStringSubmatch(line[2], -1) {
			if label[1] != "le" && !slices.Contains(labels[name], label[1]) {
				labels[name] = append(labels[name], label[1])
			}
		}
	}
	return kinds, labels
}

func sameLabels(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// What "promtool check metrics" complains of is in this library.
func TestPrometheusLinterAcceptsTheMetrics(t *testing.T) {
	r := newRig(t, inMemory(t), "127.0.0.1:0")
	r.worker.Handle("t", func(context.Context, bus.Event) error { return nil }, nil)
	r.run(t)
	measureAll(r.exporter.metrics)
	problems, err := promlint.New(strings.NewReader(r.scrape(t))).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestGaugesNeverEndLikeCounters(t *testing.T) {
	for _, m := range telemetry.Catalogue() {
		if isTotal := strings.HasSuffix(m.Prometheus, "_total"); isTotal != (m.Kind == telemetry.Counter) {
			t.Errorf("%s is a %s", m.Prometheus, m.Kind)
		}
		if isSeconds := strings.HasSuffix(m.Prometheus, "_seconds"); isSeconds != (m.Unit == "s") {
			t.Errorf("the unit of %s is %q", m.Prometheus, m.Unit)
		}
	}
}
