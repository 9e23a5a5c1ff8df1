// Command schemas makes the JSON Schemas by which the manifests are checked, from the releases that
// it names. They come from the Go module proxy:
//
//	go run ./internal/schemas
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The releases.
const (
	kubernetes = "k8s.io/kubernetes@v1.37.2"
	keda       = "github.com/kedacore/keda/v2@v2.21.0"
	operator   = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// folder is where schemas are kept, from the root of this module.
const folder = "testdata/schemas"

// source is where the schema of a kind is found.
type source struct {
	kind, module, file string
	// definition is its name in a document of OpenAPI. Empty: the file is a custom resource
	// definition.
	definition string
}

var sources = []source{
	{"ConfigMap", kubernetes, "api/openapi-spec/v3/api__v1_openapi.json", "io.k8s.api.core.v1.ConfigMap"},
	{"Service", kubernetes, "api/openapi-spec/v3/api__v1_openapi.json", "io.k8s.api.core.v1.Service"},
	{"ServiceAccount", kubernetes, "api/openapi-spec/v3/api__v1_openapi.json", "io.k8s.api.core.v1.ServiceAccount"},
	{"Deployment", kubernetes, "api/openapi-spec/v3/apis__apps__v1_openapi.json", "io.k8s.api.apps.v1.Deployment"},
	{"PodDisruptionBudget", kubernetes, "api/openapi-spec/v3/apis__policy__v1_openapi.json", "io.k8s.api.policy.v1.PodDisruptionBudget"},
	{"ScaledObject", keda, "config/crd/bases/keda.sh_scaledobjects.yaml", ""},
	{"ServiceMonitor", operator, "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml", ""},
}

func main() {
	if err := writeSchemas(); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func writeSchemas() error {
	for _, s := range sources {
		schema, err := s.read()
		if err != nil {
			return fmt.Errorf("%s of %s: %w", s.kind, s.module, err)
		}
		schema["$comment"] = "from " + s.module + ", " + s.file + "; see internal/schemas"
		text, err := json.Marshal(schema)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, s.kind+".json"), append(text, '\n'), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) read() (map[string]any, error) {
	dir, err := moduleDir(s.module)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, s.file)) //nolint:gosec // a file of the table
	if err != nil {
		return nil, err
	}
	if s.definition == "" {
		return schemaOfResource(text)
	}
	return schemaOfDefinition(text, s.definition)
}

// moduleDir downloads a module.
func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output() //nolint:gosec,noctx // a module of the table; it ends by itself
	if err != nil {
		return "", fmt.Errorf("go mod download: %w: %s", err, out)
	}
	var found struct {
		Dir string `json:"Dir"`
	}
	return found.Dir, json.Unmarshal(out, &found)
}

// schemaOfDefinition is one definition of a document of OpenAPI 3, with those that it refers to.
func schemaOfDefinition(text []byte, name string) (map[string]any, error) {
	text = bytes.ReplaceAll(text, []byte(`"#/components/schemas/`), []byte(`"#/$defs/`))
	var document struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	all := document.Components.Schemas
	used := make(map[string]any)
	collect(all, all[name], used)
	for _, definition := range used {
		tighten(definition)
	}
	schema := all[name]
	if schema == nil {
		return nil, errors.New("there is no such definition")
	}
	tighten(schema)
	schema["$defs"] = used
	return schema, nil
}

// collect finds the definitions that a value refers to, directly or not.
func collect(all map[string]map[string]any, value any, used map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/$defs/")
			if _, known := used[name]; !known {
				used[name] = all[name]
				collect(all, all[name], used)
			}
		}
		for _, inner := range v {
			collect(all, inner, used)
		}
	case []any:
		for _, inner := range v {
			collect(all, inner, used)
		}
	}
}

// schemaOfResource is that of the first version of a custom resource definition.
func schemaOfResource(text []byte) (map[string]any, error) {
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPI map[string]any `yaml:"openAPIV3Schema"`
				} `yaml:"schema"`
			} `yaml:"versions"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return nil, err
	}
	if len(definition.Spec.Versions) == 0 {
		return nil, errors.New("it has no version")
	}
	schema := definition.Spec.Versions[0].Schema.OpenAPI
	tighten(schema)
	return schema, nil
}

// tighten refuses what a schema does not know, as the server does with strict validation, and says
// in JSON Schema what OpenAPI says in its own words. Descriptions are left out.
func tighten(value any) {
	switch v := value.(type) {
	case map[string]any:
		tightenSchema(v)
		for key, inner := range v {
			if key != "enum" && key != "default" {
				tighten(inner)
			}
		}
	case []any:
		for _, inner := range v {
			tighten(inner)
		}
	}
}

func tightenSchema(schema map[string]any) {
	if _, ok := schema["description"].(string); ok {
		delete(schema, "description")
	}
	_, isObject := schema["properties"].(map[string]any)
	if _, open := schema["additionalProperties"]; isObject && !open && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	if schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string" {
		schema["type"] = []any{"integer", "string"}
		delete(schema, "format")
	}
	if schema["nullable"] == true {
		if kind, ok := schema["type"].(string); ok {
			schema["type"] = []any{kind, "null"}
		}
	}
}
