package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// rules are the alerts by name. What Prometheus would not load is an error.
func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("prometheus/alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	for _, err := range errs {
		t.Fatal(err)
	}
	found := make(map[string]rulefmt.Rule)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			found[r.Alert] = r
		}
	}
	return found
}

// Each alert says what happened and leads to a section of the runbook that is there.
func TestAlertsLeadToTheRunbook(t *testing.T) {
	t.Parallel()
	runbook := headings(read(t, "../docs/operations.md"))
	for name, r := range rules(t) {
		for _, annotation := range []string{"summary", "description", "runbook_url"} {
			if r.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", name, annotation)
			}
		}
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) {
			t.Errorf("%s has the severity %q", name, r.Labels["severity"])
		}
		page, section, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if page != "https://github.com/onceish/onceish/blob/main/docs/operations.md" || !runbook[section] {
			t.Errorf("%s: there is no %s", name, r.Annotations["runbook_url"])
		}
	}
}

// headings are the anchors of a document, as GitHub makes them.
func headings(text string) map[string]bool {
	found := make(map[string]bool)
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			anchor := strings.Map(func(r rune) rune {
				if strings.ContainsRune(" -", r) {
					return '-'
				}
				if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, strings.ToLower(strings.TrimSpace(title)))
			found[anchor] = true
		}
	}
	return found
}

// situation is what workers report, and which alerts fire after some time. Series are in
// Prometheus' notation, one value a minute.
type situation struct {
	series string
	after  time.Duration
	fires  []string
}

// worker is what each scrape has.
const worker = `
up{job="onceish", instance="a"} 1x2000
onceish_build_info{instance="a"} 1x2000
`

func situations() map[string]situation {
	return map[string]situation{
		"all is well": {worker + `
onceish_lag_events{group="g", topic="t"} 3x60
onceish_lag_seconds{group="g", topic="t"} 2x60
onceish_paused{group="g", topic="t"} 0x60
onceish_deliveries_total{group="g", topic="t", outcome="handled"} 0+60x60
onceish_store_call_duration_seconds_count{group="g", topic="t", error_type=""} 0+60x60
onceish_ttl_margin_seconds{group="g", topic="t"} 500000x60
onceish_outbox_oldest_seconds{outbox="outbox"} 1x60
onceish_outbox_dead{outbox="outbox"} 0x60
onceish_breaker_state{group="g", topic="t", state="open"} 0x60`, time.Hour, nil},
		"idle": {worker + `
onceish_lag_events{group="g", topic="t"} 0x60
onceish_lag_seconds{group="g", topic="t"} 0x60`, time.Hour, nil},
		"nothing was ever handled": {worker + `
onceish_lag_events{group="g", topic="t"} 5x60`, 30 * time.Minute, []string{"OnceishNoProgress"}},
		"nothing is handled any more": {worker + `
onceish_lag_events{group="g", topic="t"} 0x10 5x60
onceish_deliveries_total{group="g", topic="t", outcome="handled"} 0+60x10 600x60
onceish_deliveries_total{group="g", topic="t", outcome="held"} 0+60x70`, 40 * time.Minute, []string{"OnceishNoProgress"}},
		"another process of the group progresses": {worker + `
onceish_lag_events{group="g", topic="t", instance="a"} 5x60
onceish_lag_events{group="g", topic="t", instance="b"} 5x60
onceish_deliveries_total{group="g", topic="t", outcome="handled", instance="b"} 0+60x60`, 40 * time.Minute, nil},
		"paused": {worker + `
onceish_lag_events{group="g", topic="t"} 5x60
onceish_paused{group="g", topic="t"} 1x60`, 40 * time.Minute, nil},
		"the lag grows": {worker + `
onceish_lag_seconds{group="g", topic="t"} 0+30x60
onceish_deliveries_total{group="g", topic="t", outcome="handled"} 0+60x60`, 40 * time.Minute, []string{"OnceishLagGrows"}},
		"the lag shrinks": {worker + `
onceish_lag_seconds{group="g", topic="t"} 6000-30x60`, 40 * time.Minute, nil},
		"dead letters": {worker + `
onceish_dead_letters_total{group="g", topic="t", reason="permanent"} 0x10 3x60`, 15 * time.Minute, []string{"OnceishDeadLetters"}},
		"the first dead letter of a new process": {worker + `
onceish_dead_letters_total{group="g", topic="t", reason="permanent", instance="a"} 3x60
onceish_dead_letters_total{group="g", topic="t", reason="permanent", instance="b"} _x20 1x40`, 25 * time.Minute, []string{"OnceishDeadLetters"}},
		"the bus does not answer": {worker + `
onceish_in_flight{group="g", topic="t"} 0x60
onceish_lag_events{group="g", topic="t"} 0x10`, 30 * time.Minute, []string{"OnceishLagUnknown"}},
		"one process is not answered": {worker + `
onceish_in_flight{group="g", topic="t", instance="a"} 2x60
onceish_in_flight{group="g", topic="t", instance="b"} 2x60
onceish_lag_events{group="g", topic="t", instance="b"} 0x60`, 30 * time.Minute, nil},
		"dead letters, long ago": {worker + `
onceish_dead_letters_total{group="g", topic="t", reason="permanent"} 0x10 3x60`, 40 * time.Minute, nil},
		"rows wait": {worker + `
onceish_outbox_oldest_seconds{outbox="outbox"} 0+60x60`, 20 * time.Minute, []string{"OnceishOutboxStands"}},
		"a partition has no owner": {worker + `
onceish_partitions{group="g", topic="t", instance="a"} 8x60
onceish_partitions{group="g", topic="t", instance="b"} 8x60
onceish_partitions_owned{group="g", topic="t", instance="a"} 4x60
onceish_partitions_owned{group="g", topic="t", instance="b"} 4x10 3x50`, 20 * time.Minute, []string{"OnceishPartitionWithoutOwner"}},
		"partitions move": {worker + `
onceish_partitions{group="g", topic="t", instance="a"} 8x60
onceish_partitions_owned{group="g", topic="t", instance="a"} 8x10 7x0 4x50
onceish_partitions_owned{group="g", topic="t", instance="b"} 0x10 0x0 4x50`, 12 * time.Minute, nil},
		"a row is dead": {worker + `
onceish_outbox_dead{outbox="outbox"} 1x60`, 5 * time.Minute, []string{"OnceishOutboxDead"}},
		"the store fails": {worker + `
onceish_store_call_duration_seconds_count{group="g", topic="t", operation="claim", error_type=""} 0+60x60
onceish_store_call_duration_seconds_count{group="g", topic="t", operation="claim", error_type="timeout"} 0+6x60`, 20 * time.Minute, []string{"OnceishStoreFails"}},
		"one call failed": {worker + `
onceish_store_call_duration_seconds_count{group="g", topic="t", error_type=""} 0+60x60
onceish_store_call_duration_seconds_count{group="g", topic="t", error_type="timeout"} 0x10 1x60`, 13 * time.Minute, nil},
		"a breaker stays open": {worker + `
onceish_breaker_state{group="g", topic="t", state="open"} 1x60`, 15 * time.Minute, []string{"OnceishBreakerOpen"}},
		"a breaker tries again": {worker + `
onceish_breaker_state{group="g", topic="t", state="open"} 1 1 1 0 1 1 1 0 1 1 1 0 1 1 1 0`, 15 * time.Minute, nil},
		"marks expire too soon": {worker + `
onceish_ttl_margin_seconds{group="g", topic="t"} -60x60`, 10 * time.Minute, []string{"OnceishMarksExpireTooSoon"}},
		"paused for a day": {worker + `
onceish_paused{group="g", topic="t"} 1x1500`, 24 * time.Hour, []string{"OnceishPausedForLong"}},
		"paused again and again": {worker + `
onceish_paused{group="g", topic="t"} 1x700 0x20 1x800`, 24 * time.Hour, nil},
		"one of two workers is down": {worker + `
up{job="onceish", instance="b"} 0x60`, 10 * time.Minute, []string{"OnceishWorkerDown"}},
		"no worker": {``, 10 * time.Minute, []string{"OnceishNoWorkers"}},
	}
}

// Each alert fires when it should and never else, by the engine of Prometheus.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	alerts := rules(t)
	fired := map[string]bool{}
	for name, s := range situations() {
		data := promqltest.LoadedStorage(t, script(s.series))
		engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
		for alert, r := range alerts {
			fires, err := firesAt(t, engine, data, r, s.after)
			if err != nil {
				t.Errorf("%s: %s: %v", name, alert, err)
			}
			if want := slices.Contains(s.fires, alert); fires != want {
				t.Errorf("%s: %s fires: %v, want %v", name, alert, fires, want)
			}
			fired[alert] = fired[alert] || fires
		}
		must(t, data.Close())
	}
	for alert := range alerts {
		if !fired[alert] {
			t.Errorf("no situation makes %s fire", alert)
		}
	}
}

// script loads series, one value a minute.
func script(series string) string {
	lines := strings.Fields(strings.ReplaceAll(series, " ", "\x00"))
	if len(lines) == 0 {
		return ""
	}
	return "load 1m\n  " + strings.ReplaceAll(strings.Join(lines, "\n  "), "\x00", " ") + "\n"
}

// firesAt reports whether the expression has held for one of its series, at each minute, for as
// long as the alert wants.
func firesAt(t *testing.T, engine *promql.Engine, data storage.Queryable, r rulefmt.Rule, after time.Duration) (bool, error) {
	t.Helper()
	held := map[string]int{}
	wanted := int(time.Duration(r.For)/time.Minute) + 1
	for i := range wanted {
		at := time.Unix(0, 0).Add(after - time.Duration(i)*time.Minute)
		q, err := engine.NewInstantQuery(t.Context(), data, nil, r.Expr, at)
		if err != nil {
			return false, err
		}
		v, err := q.Exec(t.Context()).Vector()
		if err != nil {
			return false, err
		}
		for _, sample := range v {
			held[sample.Metric.String()]++
		}
		q.Close()
	}
	for _, n := range held {
		if n == wanted {
			return true, nil
		}
	}
	return false, nil
}

// A rule with a mistake is not loaded.
func TestAlertRulesBite(t *testing.T) {
	t.Parallel()
	p := parser.NewParser(parser.Options{})
	for _, expr := range []string{"sum by (group) (", "rate(onceish_fenced_total)", "onceish_lag_events >"} {
		text := fmt.Sprintf("groups: [{name: g, rules: [{alert: A, expr: '%s'}]}]", expr)
		if _, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, p, promslog.NewNopLogger()); len(errs) == 0 {
			t.Errorf("nothing is wrong with %s", expr)
		}
	}
}
