package deploy

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/onceish/onceish/worker/config"
)

// manifest is one document of a file.
type manifest = map[string]any

// manifests are all that are shipped, by kind.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	names, err := filepath.Glob("kubernetes/*.yaml")
	must(t, err)
	found := make(map[string]manifest)
	for _, name := range names {
		for d := yaml.NewDecoder(strings.NewReader(read(t, name))); ; {
			var m manifest
			err := d.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			found[m["kind"].(string)] = m
		}
	}
	return found
}

// violation is what the schema of its kind says against a manifest.
func violation(t *testing.T, m manifest) error {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("testdata/schemas/" + m["kind"].(string) + ".json")
	must(t, err)
	return schema.Validate(any(m))
}

func TestManifestsAreWhatTheirSchemasWant(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	for kind, m := range all {
		if err := violation(t, m); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for _, kind := range []string{"ConfigMap", "ServiceAccount", "Deployment", "PodDisruptionBudget", "Service", "ServiceMonitor", "ScaledObject"} {
		if all[kind] == nil {
			t.Errorf("there is no %s", kind)
		}
	}
}

// dig is what lies in a manifest below keys, and indices of lists.
func dig(t *testing.T, value any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	if value == nil {
		t.Fatalf("there is no %v", path)
	}
	return value
}

func TestManifestSchemasBite(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]struct {
		kind string
		path []any
		key  string
		to   any
	}{
		"unknown field":         {"Deployment", []any{"spec", "template", "spec", "containers", 0}, "livenesProbe", manifest{}},
		"wrong type":            {"Deployment", []any{"spec"}, "replicas", "two"},
		"missing":               {"Deployment", []any{"spec"}, "selector", nil},
		"nested unknown":        {"Deployment", []any{"spec", "template", "spec", "containers", 0, "securityContext"}, "privileges", true},
		"budget":                {"PodDisruptionBudget", []any{"spec"}, "minAvailble", 1},
		"scaler without a type": {"ScaledObject", []any{"spec", "triggers", 0}, "type", nil},
		"scaler's numbers":      {"ScaledObject", []any{"spec"}, "maxReplicaCount", "10"},
		"monitor":               {"ServiceMonitor", []any{"spec", "endpoints", 0}, "intervall", "1s"},
		"monitor's duration":    {"ServiceMonitor", []any{"spec", "endpoints", 0}, "interval", "often"},
		"service":               {"Service", []any{"spec", "ports", 0}, "port", "http"},
	} {
		m := manifests(t)[breaks.kind]
		at := dig(t, m, breaks.path...).(map[string]any)
		if breaks.to == nil {
			delete(at, breaks.key)
		} else {
			at[breaks.key] = breaks.to
		}
		if violation(t, m) == nil {
			t.Errorf("%s: nothing is wrong with a %s", name, breaks.kind)
		}
	}
}

// parseWorkerFile is the configuration of a worker.
func parseWorkerFile(t *testing.T, text string) *config.Config {
	t.Helper()
	c, problems := config.Parse("", []byte(text), func(string) (string, bool) { return "", false })
	for _, p := range problems {
		t.Error(p)
	}
	if c == nil {
		t.FailNow()
	}
	return c
}

// The numbers of the manifests are those of the worker that they run.
func TestManifestsFitTheWorker(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	c := parseWorkerFile(t, dig(t, all["ConfigMap"], "data", "worker.yaml").(string))
	pod := dig(t, all["Deployment"], "spec", "template", "spec")
	if grace := seconds(t, fmt.Sprint(dig(t, pod, "terminationGracePeriodSeconds"))); grace < c.Drain+10*time.Second {
		t.Errorf("a pod has %v to end, and drains for %v", grace, c.Drain)
	}
	container := dig(t, pod, "containers", 0)
	ports := map[string]int{}
	for _, p := range dig(t, container, "ports").([]any) {
		ports[dig(t, p, "name").(string)] = dig(t, p, "containerPort").(int)
	}
	if !strings.HasSuffix(c.Admin.Address, ":8488") || ports["admin"] != 8488 || c.Metrics.Address != ":9464" || ports["metrics"] != 9464 {
		t.Errorf("ports %v, the API at %s, metrics at %s", ports, c.Admin.Address, c.Metrics.Address)
	}
	for probe, path := range map[string]string{"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"} {
		if got := dig(t, container, probe, "httpGet", "path"); got != path {
			t.Errorf("%s asks %s", probe, got)
		}
	}
	for _, kind := range []string{"Deployment", "ScaledObject"} {
		if name := dig(t, all[kind], "metadata", "name"); name != dig(t, all["ScaledObject"], "spec", "scaleTargetRef", "name") {
			t.Errorf("%s is named %s", kind, name)
		}
	}
	if min := dig(t, all["ScaledObject"], "spec", "minReplicaCount").(int); min < 1 {
		t.Error("without a worker nobody reports the lag")
	}
}
