package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/common/promslog"
	prometheus "github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns" // the file uses it
)

const composeFile = "compose/compose.yaml"

// loadCompose reads a compose file as the command docker compose does.
func loadCompose(t *testing.T, name string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "compose", ConfigFiles: []types.ConfigFile{{Filename: name}}, Environment: types.Mapping{},
	})
}

func TestComposeFileIsWhatComposeTakes(t *testing.T) {
	t.Parallel()
	p, err := loadCompose(t, composeFile)
	must(t, err)
	names := p.ServiceNames()
	want := []string{"grafana", "mongo", "nats-1", "nats-2", "nats-3", "prometheus", "provision", "worker"}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("services %q, want %q", names, want)
	}
	for name, c := range p.Configs {
		if _, err := os.Stat(c.File); err != nil {
			t.Errorf("config %s: %v", name, err)
		}
	}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published at %q: nothing has a password here", name, port.HostIP)
			}
		}
	}
}

func TestComposeSchemaBites(t *testing.T) {
	t.Parallel()
	for _, change := range [][2]string{
		{"stop_grace_period: 35s", "stop_grace_periods: 35s"},
		{"replicas: 2", "replicas: two"},
		{"condition: service_healthy", "condition: healthy"},
		{"source: worker\n", "source: workers\n"},
	} {
		broken := filepath.Join(t.TempDir(), "compose.yaml")
		must(t, os.WriteFile(broken, []byte(strings.Replace(read(t, composeFile), change[0], change[1], 1)), 0o600))
		if _, err := loadCompose(t, broken); err == nil {
			t.Errorf("nothing is wrong with %s", change[1])
		}
	}
}

// The workers of the compose file are configured, have the time to drain, and their image has no
// shell that they would need.
func TestComposeFitsTheWorker(t *testing.T) {
	t.Parallel()
	p, err := loadCompose(t, composeFile)
	must(t, err)
	c := parseWorkerFile(t, read(t, "compose/worker.yaml"))
	worker := p.Services["worker"]
	if grace := time.Duration(*worker.StopGracePeriod); grace < c.Drain+10*time.Second {
		t.Errorf("workers have %v to end, and drain for %v", grace, c.Drain)
	}
	if *worker.Deploy.Replicas != 2 || worker.HealthCheck != nil {
		t.Errorf("%d workers, health check %v: want 2, and the image's", *worker.Deploy.Replicas, worker.HealthCheck)
	}
	if c.Admin == nil || c.Admin.Address != "127.0.0.1:8488" {
		t.Errorf("the health check of the image asks 127.0.0.1:8488, and the API is %v", c.Admin)
	}
	if c.Metrics == nil || c.Metrics.Address != ":9464" { // where compose/prometheus.yaml scrapes
		t.Errorf("metrics are at %v", c.Metrics)
	}
	for _, s := range c.Subscriptions {
		if s.Handler.Exec != nil {
			t.Errorf("%s runs a command: the image has no shell", s.Topic)
		}
	}
}

// The three servers are of one cluster, and know each other by the names of their services.
func TestComposeServersAreACluster(t *testing.T) {
	p, err := loadCompose(t, composeFile)
	must(t, err)
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		t.Setenv("NAME", *p.Services[name].Environment["NAME"])
		o, err := server.ProcessConfigFile("compose/nats.conf")
		must(t, err)
		if o.ServerName != name || !o.JetStream || len(o.Routes) != 3 || o.Cluster.Name == "" {
			t.Errorf("%s: name %q, JetStream %v, routes %v", name, o.ServerName, o.JetStream, o.Routes)
		}
		if o.StoreDir != p.Services[name].Volumes[0].Target {
			t.Errorf("%s stores in %s, which is no volume", name, o.StoreDir)
		}
		for _, r := range o.Routes {
			if _, ok := p.Services[r.Hostname()]; !ok {
				t.Errorf("%s has a route to %s", name, r.Hostname())
			}
		}
	}
}

func TestComposePrometheusScrapesTheWorkers(t *testing.T) {
	t.Parallel()
	c, err := prometheus.LoadFile("compose/prometheus.yaml", false, promslog.NewNopLogger())
	must(t, err)
	jobs, err := c.GetScrapeConfigs()
	must(t, err)
	p, err := loadCompose(t, composeFile)
	must(t, err)
	if len(jobs) != 1 || jobs[0].JobName != "onceish" { // as the alerts name it
		t.Fatalf("jobs %v", jobs)
	}
	mounted := p.Services["prometheus"].Configs
	if !slices.ContainsFunc(mounted, func(m types.ServiceConfigObjConfig) bool { return m.Target == c.RuleFiles[0] }) {
		t.Errorf("%s is not mounted", c.RuleFiles[0])
	}
}
