package onceish_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/onceish/onceish"

// mayImport says, for each folder below the root, from which folders its packages may import:
// only downwards.
var mayImport = map[string][]string{
	"":           {},
	"bus":        {"bus", "internal"},
	"dedupe":     {"dedupe", "internal"},
	"flow":       {"flow", "internal"},
	"group":      {"group", "internal"},
	"outbox":     {"outbox", "flow", "dedupe", "bus", "internal"},
	"mongodoc":   {"mongodoc", "outbox", "dedupe", "bus", "internal"},
	"consumer":   {"consumer", "group", "flow", "dedupe", "bus", "internal"},
	"deferral":   {"deferral", "consumer", "group", "flow", "dedupe", "bus", "internal"},
	"schema":     {"schema", "consumer", "bus", "internal"},
	"projector":  {"projector", "mongodoc", "consumer", "outbox", "group", "flow", "dedupe", "bus", "internal"},
	"replay":     {"replay", "dedupe", "bus", "internal"},
	"deadletter": {"deadletter", "consumer", "dedupe", "bus", "internal"},
	"explain":    {"explain", "deadletter", "consumer", "outbox", "group", "dedupe", "bus", "internal"},
	"worker":     {"worker", "projector", "deferral", "explain", "deadletter", "replay", "mongodoc", "consumer", "outbox", "group", "flow", "dedupe", "bus", "internal"},
	"cmd":        {"cmd", "worker", "schema", "projector", "deferral", "explain", "deadletter", "replay", "mongodoc", "consumer", "outbox", "group", "flow", "dedupe", "bus", "internal"},
	"examples":   {"examples", "worker", "schema", "projector", "deferral", "deadletter", "replay", "mongodoc", "consumer", "outbox", "group", "flow", "dedupe", "bus", "internal"},
	"internal":   {"internal", "bus"},
	testFolder:   {testFolder, "worker", "schema", "projector", "deferral", "deadletter", "replay", "mongodoc", "consumer", "outbox", "group", "flow", "dedupe", "bus", "internal"},
}

// testFolder is the folder of what only tests use. Suites are tests.
const testFolder = "internal/testing"

var suites = []string{"bus/bustest", "dedupe/dedupetest", "flow/flowtest", "group/grouptest", "outbox/outboxtest", "schema/schematest"}

// testKit is for tests of users' own handlers. It stands on the memory adapters alone: neither on
// suites nor on testFolder, which are for tests of buses and stores.
const testKit = "consumer/consumertest"

// mayLink says which packages alone may link what is heavy, their folders included. Tests are free.
var mayLink = map[string][]string{
	"github.com/nats-io/nats-server": {"worker/embedded", "cmd/worker", "internal/testing/natstest"},
	module + "/worker/embedded":      {"worker/embedded", "cmd/worker"},
	"github.com/oklog/run":           {"worker", "cmd/worker", "examples"},
	"github.com/urfave/cli":          {"worker", "cmd/worker", "internal/commandline", "examples"},
	"go.yaml.in/yaml":                {"worker", "cmd/worker", "examples"},
	"github.com/prometheus":          {"worker/telemetry/export", "cmd/worker"},
	"go.opentelemetry.io":            {"worker/telemetry", "cmd/worker", "internal/testing/otlptest"},
	"github.com/danielgtaylor/huma":  {"worker/admin", "cmd/worker"},
	module + "/worker/admin":         {"worker/admin", "cmd/worker"},
	"github.com/coreos/go-systemd":   {"worker", "cmd/worker", "examples"},
	"github.com/KimMachineGun":       {"cmd/worker"},
	"github.com/santhosh-tekuri":     {"schema", "cmd/worker", "examples"},

	"go.opentelemetry.io/otel/sdk":       {"worker/telemetry/export", "cmd/worker"},
	"go.opentelemetry.io/otel/exporters": {"worker/telemetry/export", "cmd/worker"},
	"go.opentelemetry.io/proto":          {"worker/telemetry/export", "cmd/worker", "internal/testing/otlptest"},
	module + "/worker/telemetry/export":  {"worker/telemetry/export", "cmd/worker"},

	"testing":                         append([]string{testKit, testFolder}, suites...),
	"github.com/anishathalye":         {"dedupe/dedupetest"},
	"github.com/chromedp":             {},
	"github.com/failsafe-go":          {"flow/breaker", "worker", "cmd/worker", "examples"},
	"github.com/rogpeppe/go-internal": {},
	"github.com/standard-webhooks":    {},
	"go.uber.org/goleak":              {},
	"pgregory.net/rapid":              append(suites, testFolder),
}

// standardOnly are the packages that link the standard library and each other alone.
var standardOnly = []string{"", "bus", "dedupe", "flow", "group", "consumer", "deadletter", "deferral", "explain", "outbox", "bus/memory", "dedupe/memory", "group/memory", "outbox/memory"}

// linksBeside are packages that link these beside the standard library and each other, and no more.
var linksBeside = map[string][]string{"worker/telemetry": {"go.opentelemetry.io/otel", "github.com/cespare/xxhash"}}

// pkg is what go list tells of a package; see go help list.
type pkg struct {
	Dir            string   `json:"Dir"`
	ImportPath     string   `json:"ImportPath"`
	Standard       bool     `json:"Standard"`
	GoFiles        []string `json:"GoFiles"`
	IgnoredGoFiles []string `json:"IgnoredGoFiles"`
	Imports        []string `json:"Imports"`
	Deps           []string `json:"Deps"`
}

func TestArchitecture(t *testing.T) {
	ours, standard := packages(t)
	for _, p := range ours {
		for _, broken := range slices.Concat(upward(p), sideways(p), heavy(p), foreign(p, standard), undocumented(t, p), hiding(t, p)) {
			t.Errorf("%s %s", p.ImportPath, broken)
		}
	}
}

// Each rule must find what breaks it.
func TestArchitectureRulesBite(t *testing.T) {
	ours := func(path string, links ...string) pkg {
		return pkg{ImportPath: module + "/" + path, Imports: links, Deps: links}
	}
	standard := map[string]bool{"context": true}
	wrapper, err := parser.ParseFile(token.NewFileSet(), "", "package worker; type tap struct { bus.Bus; n int }", 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		broken []string
		want   string
	}{
		"up-hill":           {upward(ours("bus", module+"/consumer")), "imports consumer"},
		"across":            {upward(ours("bus/jetstream", module+"/dedupe")), "imports dedupe"},
		"dedupe on bus":     {upward(ours("dedupe/mongo", module+"/bus")), "imports bus"},
		"for tests only":    {upward(ours("worker", module+"/internal/testing/faulty")), "imports internal/testing/faulty"},
		"unknown folder":    {upward(ours("utils")), "no rule"},
		"adapter":           {sideways(ours("dedupe/kv", module+"/dedupe/memory")), "imports dedupe/memory"},
		"outbox on dedupe":  {sideways(ours("outbox/mongo", module+"/dedupe/mongo")), "imports dedupe/mongo"},
		"server":            {heavy(ours("worker", "github.com/nats-io/nats-server/v2/server")), "nats-server"},
		"embedded":          {heavy(ours("examples/a", module+"/worker/embedded")), "worker/embedded"},
		"run":               {heavy(ours("consumer", "github.com/oklog/run")), "oklog/run"},
		"wrapper":           {embedded(wrapper), "hides its abilities"},
		"contract":          {foreign(ours("bus", "context", "github.com/nats-io/nats.go"), standard), "nats.go"},
		"huma":              {heavy(ours("worker", "github.com/danielgtaylor/huma/v2")), "danielgtaylor/huma"},
		"spans":             {heavy(ours("worker", "go.opentelemetry.io/otel/trace")), "go.opentelemetry.io"},
		"SDK":               {heavy(ours("worker/telemetry", "go.opentelemetry.io/otel/sdk/trace")), "otel/sdk"},
		"API":               {heavy(ours("examples/a", module+"/worker/admin")), "worker/admin"},
		"telemetry":         {heavy(ours("worker", "go.opentelemetry.io/otel/metric")), "go.opentelemetry.io"},
		"exporter":          {heavy(ours("worker/telemetry", "go.opentelemetry.io/otel/sdk/metric")), "otel/sdk"},
		"Prometheus":        {heavy(ours("worker/telemetry", "github.com/prometheus/client_golang/prometheus")), "github.com/prometheus"},
		"telemetry's links": {foreign(ours("worker/telemetry", "go.opentelemetry.io/otel/metric", "github.com/nats-io/nats.go"), standard), "nats.go"},
		"service manager":   {heavy(ours("consumer", "github.com/coreos/go-systemd/v22/daemon")), "coreos/go-systemd"},
		"memory limit":      {heavy(ours("worker", "github.com/KimMachineGun/automemlimit/memlimit")), "KimMachineGun"},
		"failsafe":          {heavy(ours("consumer", "github.com/failsafe-go/failsafe-go/circuitbreaker")), "failsafe-go"},
		"JSON Schema":       {heavy(ours("worker", module+"/schema", "github.com/santhosh-tekuri/jsonschema/v6")), "santhosh-tekuri"},
		"consumer's driver": {foreign(ours("consumer", module+"/bus/jetstream", "github.com/nats-io/nats.go"), standard), "nats.go"},
	} {
		if len(c.broken) == 0 || !strings.Contains(c.broken[0], c.want) {
			t.Errorf("%s: found %q, want %q", name, c.broken, c.want)
		}
	}
	for _, fine := range []pkg{
		ours("bus", "context"),
		ours("consumer", "context", module+"/bus", module+"/consumer/internal/protocol"),
		ours("dedupe/kv", module+"/dedupe", "github.com/nats-io/nats.go"),
		ours("flow/breaker", module+"/flow", "github.com/failsafe-go/failsafe-go/circuitbreaker"),
		ours("dedupe/dedupetest", module+"/dedupe", module+"/internal/testing/faulty"),
		ours("cmd/worker", module+"/worker", module+"/worker/embedded", "github.com/nats-io/nats-server/v2/server"),
	} {
		if broken := slices.Concat(upward(fine), sideways(fine), heavy(fine), foreign(fine, standard)); len(broken) > 0 {
			t.Errorf("%s is fine, but %q", fine.ImportPath, broken)
		}
	}
}

// packages lists this module's packages, and the paths of the standard library's.
func packages(t *testing.T) (ours []pkg, standard map[string]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,ImportPath,Standard,GoFiles,IgnoredGoFiles,Imports,Deps", "./...")
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal("go list:", err)
	}
	standard = make(map[string]bool)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		switch {
		case err == io.EOF:
			return ours, standard
		case err != nil:
			t.Fatal("go list:", err)
		case p.Standard:
			standard[p.ImportPath] = true
		case within(p.ImportPath, module):
			ours = append(ours, p)
		}
	}
}

func upward(p pkg) (broken []string) {
	allowed, ok := mayImport[folder(p.ImportPath)]
	if !ok {
		return []string{"is in a folder that arch_test.go has no rule for"}
	}
	isSuite := slices.Contains(suites, local(p.ImportPath))
	for _, i := range p.Imports {
		if within(i, module) && !slices.Contains(allowed, folder(i)) && (!isSuite || folder(i) != testFolder) {
			broken = append(broken, "imports "+local(i))
		}
	}
	return broken
}

// sideways: what lies below a contract (an adapter, a suite) knows contracts, and no other
// package below one.
func sideways(p pkg) (broken []string) {
	contracts := []string{"bus", "dedupe", "flow", "group", "outbox", "schema"}
	if at := local(p.ImportPath); !slices.Contains(contracts, folder(p.ImportPath)) || slices.Contains(contracts, at) {
		return nil
	}
	for _, i := range p.Imports {
		if at := local(i); within(i, module) && slices.Contains(contracts, folder(i)) && !slices.Contains(contracts, at) && !within(i, p.ImportPath) {
			broken = append(broken, "imports "+at)
		}
	}
	return broken
}

func heavy(p pkg) (broken []string) {
	for what, where := range mayLink {
		if slices.ContainsFunc(where, func(w string) bool { return within(p.ImportPath, module+"/"+w) }) {
			continue
		}
		if slices.ContainsFunc(p.Deps, func(d string) bool { return within(d, what) }) {
			broken = append(broken, "links "+what)
		}
	}
	slices.Sort(broken)
	return broken
}

func foreign(p pkg, standard map[string]bool) (broken []string) {
	beside, ok := linksBeside[local(p.ImportPath)]
	if !ok && !slices.Contains(standardOnly, local(p.ImportPath)) {
		return nil
	}
	for _, d := range p.Deps {
		if !standard[d] && !within(d, module) && !slices.ContainsFunc(beside, func(b string) bool { return within(d, b) }) {
			broken = append(broken, "links "+d)
		}
	}
	return broken
}

// undocumented: the package comment stands in doc.go, in a command's main.go or in the only file,
// and nowhere else.
func undocumented(t *testing.T, p pkg) (broken []string) {
	t.Helper()
	files := slices.Concat(p.GoFiles, p.IgnoredGoFiles)
	documented := len(p.GoFiles) == 0 // tests alone
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		home := name == "doc.go" || len(files) == 1 || f.Name.Name == "main" && name == "main.go"
		switch {
		case has(f.Doc) && !home:
			broken = append(broken, fmt.Sprintf("has a package comment in %s: it belongs in doc.go", name))
		case has(f.Doc):
			documented = true
		}
	}
	if !documented {
		broken = append(broken, "has no package comment")
	}
	return broken
}

// contracts have abilities that are found by assertion.
var contracts = []string{"bus.Bus", "dedupe.Store", "group.Store", "outbox.Queue"}

// hiding: who embeds a contract has its methods and hides its abilities, as if the
// adapter had none.
func hiding(t *testing.T, p pkg) (broken []string) {
	t.Helper()
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		broken = append(broken, embedded(f)...)
	}
	return broken
}

func embedded(f *ast.File) (broken []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range s.Fields.List {
			of, ok := field.Type.(*ast.SelectorExpr)
			if !ok || len(field.Names) > 0 {
				continue
			}
			if contract := fmt.Sprint(of.X) + "." + of.Sel.Name; slices.Contains(contracts, contract) {
				broken = append(broken, fmt.Sprintf("embeds %s, which hides its abilities: name the field", contract))
			}
		}
		return true
	})
	return broken
}

func has(doc *ast.CommentGroup) bool { return doc != nil && strings.TrimSpace(doc.Text()) != "" }

// within reports whether a path is the other, or below it.
func within(path, other string) bool {
	return path == other || strings.HasPrefix(path, other+"/")
}

// local is a path below the module's root; the root is "".
func local(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// folder is the first element of a local path.
func folder(path string) string {
	if within(path, module+"/"+testFolder) {
		return testFolder
	}
	first, _, _ := strings.Cut(local(path), "/")
	return first
}
