package deploy

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v4"

	source "github.com/onceish/onceish/deploy/internal/dashboard"
)

const dashboardFile = "grafana/onceish.json"

// board is what the tests read of the dashboard.
type board struct {
	Panels []struct {
		ID          int    `json:"id"`
		Type        string `json:"type"`
		Title       string `json:"title"`
		Description string `json:"description"`
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Query string `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

func readBoard(t *testing.T) board {
	t.Helper()
	var b board
	must(t, json.Unmarshal([]byte(read(t, dashboardFile)), &b))
	return b
}

// Grafana's own types take the dashboard.
func TestDashboardIsWhatGrafanaTakes(t *testing.T) {
	t.Parallel()
	text := read(t, dashboardFile)
	var d dashboard.Dashboard //nolint:staticcheck // the form that every Grafana imports
	must(t, json.Unmarshal([]byte(text), &d))
	must(t, d.Validate())
}

var update = flag.Bool("update", false, "write "+dashboardFile)

func TestDashboardIsWhatItsSourceSays(t *testing.T) {
	made, err := source.Render()
	must(t, err)
	if *update {
		must(t, os.WriteFile(dashboardFile, made, 0o600))
	}
	if string(made) != read(t, dashboardFile) {
		t.Error("internal/dashboard makes another one: go test . -update")
	}
}

func TestPanelsHaveTheirPlace(t *testing.T) {
	t.Parallel()
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range readBoard(t).Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && p.Description == "" {
			t.Errorf("panel %d %q: its id, title or description", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies on %q, or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// expressions are all that are shipped, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for name, r := range rules(t) {
		found["alert "+name] = r.Expr
	}
	b := readBoard(t)
	for _, p := range b.Panels {
		for i, target := range p.Targets {
			found["panel "+p.Title+string(rune('A'+i))] = asGrafanaAsks(target.Expr)
		}
	}
	labelValues := regexp.MustCompile(`^label_values\((.*), \w+\)$`)
	for _, v := range b.Templating.List {
		if expr := labelValues.FindStringSubmatch(v.Query); expr != nil {
			found["variable "+v.Name] = asGrafanaAsks(expr[1])
		}
	}
	var scaler struct {
		Spec struct {
			Triggers []struct{ Metadata map[string]string }
		}
	}
	must(t, yaml.Unmarshal([]byte(read(t, "kubernetes/autoscaler.yaml")), &scaler))
	found["autoscaler"] = scaler.Spec.Triggers[0].Metadata["query"]
	return found
}

// asGrafanaAsks replaces the variables of a dashboard.
func asGrafanaAsks(expr string) string {
	return strings.NewReplacer("$__rate_interval", "5m", "$group", ".*", "$topic", ".*").Replace(expr)
}

// foreign are metrics and labels that Prometheus itself makes.
var foreign = metricLabels{"up": {"job", "instance"}}

// metricLabels are the labels of metrics by their name.
type metricLabels map[string][]string

// violations are the metrics of an expression that there are not, and labels that they do not have.
func violations(known metricLabels, expr string) (found []string) {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		selector, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		has, ok := known.find(selector.Name)
		if !ok {
			found = append(found, "there is no metric "+selector.Name)
		}
		for _, m := range selector.LabelMatchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(has, m.Name) {
				found = append(found, selector.Name+" has no label "+m.Name)
			}
		}
		return nil
	})
	return found
}

// find are the labels of a metric, or of a histogram's part.
func (m metricLabels) find(name string) ([]string, bool) {
	if has, ok := m[name]; ok {
		return has, true
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if whole, ok := strings.CutSuffix(name, part); ok {
			has, ok := m[whole]
			return append(slices.Clone(has), "le"), ok
		}
	}
	return nil, false
}

// What alerts, dashboard and autoscaler ask for are metrics that workers have, with labels that
// these have.
func TestExpressionsAskForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	known := workerMetrics(t)
	for where, expr := range expressions(t) {
		for _, v := range violations(known, expr) {
			t.Errorf("%s: %s", where, v)
		}
	}
}

func TestMetricRuleBites(t *testing.T) {
	t.Parallel()
	known := workerMetrics(t)
	for expr, want := range map[string]string{
		`sum(onceish_lag)`:                                  "there is no metric onceish_lag",
		`onceish_lag_events{outbox="o"}`:                    "has no label outbox",
		`rate(onceish_deliveries_total[5m]`:                 "unclosed left parenthesis",
		`rate(onceish_lag_events_bucket[5m])`:               "", // a gauge has no buckets, which only its kind says
		`rate(onceish_store_call_items_bucket{le="1"}[5m])`: "",
	} {
		found := strings.Join(violations(known, expr), "; ")
		if want == "" && found != "" && !strings.Contains(expr, "lag") || !strings.Contains(found, want) {
			t.Errorf("%s: %q, want %q", expr, found, want)
		}
	}
}

// Every metric of a worker is somewhere on the dashboard, but for those that are in no graph.
func TestDashboardShowsEveryMetric(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	for name := range workerMetrics(t) {
		if !strings.Contains(string(text), name) && !slices.Contains([]string{"up", "onceish_build_info", "onceish_watermark_age_seconds"}, name) {
			t.Errorf("%s is on no panel", name)
		}
	}
}
