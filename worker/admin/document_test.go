package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "write docs/openapi.json and docs/api.md")

// The documents in docs are what the API says of itself.
func TestDocumentsAreWhatTheAPISays(t *testing.T) {
	t.Parallel()
	api := inMemory(t, Options{}).api.huma.OpenAPI()
	for name, want := range map[string][]byte{"openapi.json": indented(t, api), "api.md": apiDocument(api)} {
		file := "../../docs/" + name
		if *update {
			must(t, os.WriteFile(file, want, 0o644))
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/%s is not what worker/admin says (%v): run go test ./worker/admin -run TestDocuments -update", name, err)
		}
	}
}

// Everything that can be asked for is described, and every number of 64 bits is text.
func TestDescriptionIsComplete(t *testing.T) {
	t.Parallel()
	api := inMemory(t, Options{}).api.huma.OpenAPI()
	eachOperation(api, func(method, path string, op *huma.Operation) {
		if op.Summary == "" || op.Description == "" || len(op.Tags) != 1 {
			t.Errorf("%s %s: summary %q, description %q, tags %q", method, path, op.Summary, op.Description, op.Tags)
		}
		for _, p := range op.Parameters {
			if p.Description == "" && p.Schema.Description == "" && p.Schema.Enum == nil && p.Name != "key" {
				t.Errorf("%s %s: the parameter %s is not described", method, path, p.Name)
			}
		}
	})
	for name, member := range map[string]string{"Attempt": "token", "Row": "sequence", "Pause": "revision", "Member": "revision", "Line": "sequence", "Event": "sequence"} {
		schema := api.Components.Schemas.Map()[name]
		if schema == nil || schema.Properties[member] == nil || schema.Properties[member].Type != huma.TypeString {
			t.Errorf("%s.%s is described as %+v", name, member, schema)
		}
	}
	for object, members := range memberDescriptions {
		for member, text := range members {
			schema := api.Components.Schemas.Map()[object]
			if schema == nil || schema.Properties[member] == nil || schema.Properties[member].Description != text {
				t.Errorf("%s.%s is not described as %q: %+v", object, member, text, schema)
			}
		}
	}
	for name, schema := range api.Components.Schemas.Map() {
		for member, p := range schema.Properties {
			if p.Type == huma.TypeArray && p.Nullable {
				t.Errorf("%s.%s may be null, says the description", name, member)
			}
		}
	}
}

func indented(t *testing.T, api *huma.OpenAPI) []byte {
	t.Helper()
	var out bytes.Buffer
	must(t, json.Indent(&out, describe(api, ""), "", "  "))
	return append(out.Bytes(), '\n')
}

// eachOperation calls f with all operations, by their paths and methods.
func eachOperation(api *huma.OpenAPI, f func(method, path string, op *huma.Operation)) {
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		item := api.Paths[path]
		for _, m := range []struct {
			name string
			op   *huma.Operation
		}{{http.MethodGet, item.Get}, {http.MethodPost, item.Post}, {http.MethodPatch, item.Patch}, {http.MethodDelete, item.Delete}} {
			if m.op != nil {
				f(m.name, path, m.op)
			}
		}
	}
}

const documentHead = `# HTTP API

<!-- Made by go test ./worker/admin -run TestDocuments -update: do not edit. -->

%s

A worker serves it with ` + "`worker run --admin ADDRESS`; `worker admin`" + ` serves it without handling
events; a service of its own mounts ` + "[`worker/admin`](../worker/admin)" + `. [openapi.json](openapi.json)
is the same for programs (OpenAPI 3.1), and is served under ` + "`/openapi.json`" + `.

` + "`/livez`" + ` fails when a restart would help: handlers that do not return hold every slot of a
subscription. ` + "`/readyz` is 200 or 503, and with `?verbose`" + ` has a line for each check; it is 503 as
soon as the process is told to end. Where the process serves [metrics](observability.md),
` + "`/metrics`" + ` is one more path, for whoever may use the API.

` + "```console" + `
$ curl -H "Authorization: Bearer $TOKEN" 'http://localhost:8488/v1/groups/billing/dead-letters?error=timeout&limit=20'
` + "```" + `

Changes are made with a reason, and a body in JSON. With an Idempotency-Key the request may be
repeated until it is answered:

` + "```console" + `
$ curl -X POST -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -H 'Idempotency-Key: "pause-2026-11-30"' -d '{"reason": "the bank is down", "for": "10m"}' \
    http://localhost:8488/v1/groups/billing/pause
$ curl -X POST -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{"reason": "the bank is back", "filter": {"error": "timeout"}}' \
    http://localhost:8488/v1/groups/billing/dead-letter-redrives
` + "```" + `

The second is answered with an operation (202): ask for ` + "`/v1/operations/{id}`" + ` until its state is not
` + "`running`" + `.
`

// apiDocument is the description for people.
func apiDocument(api *huma.OpenAPI) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, documentHead, api.Info.Description)
	for _, tag := range api.Tags {
		fmt.Fprintf(&out, "\n## %s\n", tag.Name)
		eachOperation(api, func(method, path string, op *huma.Operation) {
			if op.Tags[0] == tag.Name {
				documentOperation(&out, method, path, op)
			}
		})
	}
	out.WriteString("\n## Objects\n")
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		if s := schemas[name]; s.Type == huma.TypeObject && len(s.Properties) > 0 {
			fmt.Fprintf(&out, "\n### %s\n\n", name)
			documentSchema(&out, s)
		}
	}
	return out.Bytes()
}

func documentOperation(out *bytes.Buffer, method, path string, op *huma.Operation) {
	fmt.Fprintf(out, "\n### %s\n\n`%s %s`\n\n%s\n", op.Summary, method, path, op.Description)
	if len(op.Parameters) > 0 {
		out.WriteString("\n| parameter | | what it is |\n|---|---|---|\n")
		for _, p := range op.Parameters {
			where := p.In
			if p.Required {
				where += ", required"
			}
			fmt.Fprintf(out, "| `%s` | %s | %s |\n", p.Name, where, describeSchema(p.Schema, p.Description))
		}
	}
	if op.RequestBody != nil {
		fmt.Fprintf(out, "\nThe body is a %s.\n", linkSchema(op.RequestBody.Content["application/json"].Schema))
	}
	var answers, problems []string
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		code, err := strconv.Atoi(status)
		switch {
		case err != nil:
		case code >= http.StatusBadRequest:
			problems = append(problems, status)
		case r.Content["application/json"] != nil && r.Content["application/json"].Schema != nil:
			answers = append(answers, status+": "+linkSchema(r.Content["application/json"].Schema))
		default:
			answers = append(answers, status+": "+cmp.Or(r.Description, http.StatusText(code)))
		}
	}
	fmt.Fprintf(out, "\nAnswers: %s. Problems: %s.\n", strings.Join(answers, ", "), strings.Join(problems, ", "))
}

func documentSchema(out *bytes.Buffer, s *huma.Schema) {
	out.WriteString("| member | | what it is |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", name, typeName(p), describeSchema(p, ""))
	}
}

// linkSchema is the name of a schema, with a link to it.
func linkSchema(s *huma.Schema) string {
	if s.Ref == "" {
		return typeName(s)
	}
	name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
	return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
}

func typeName(s *huma.Schema) string {
	switch {
	case s.Ref != "":
		return linkSchema(s)
	case s.Type == huma.TypeArray:
		return "list of " + typeName(s.Items)
	case s.Format == "date-time":
		return "time"
	case s.ContentEncoding != "":
		return s.ContentEncoding
	}
	return cmp.Or(s.Type, "any")
}

// describeSchema is what a parameter or a member is.
func describeSchema(s *huma.Schema, description string) string {
	text := strings.ReplaceAll(cmp.Or(description, s.Description), "|", "\\|")
	var more []string
	if len(s.Enum) > 0 {
		more = append(more, "one of "+strings.Trim(fmt.Sprint(s.Enum), "[]"))
	}
	if s.Default != nil {
		more = append(more, fmt.Sprintf("default %v", s.Default))
	}
	if s.Maximum != nil {
		more = append(more, fmt.Sprintf("at most %v", *s.Maximum))
	}
	if len(more) == 0 {
		return text
	}
	return strings.TrimPrefix(text+"; "+strings.Join(more, ", "), "; ")
}
