package onceish_test

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tests, builds and editors leave behind is not kept: each file of the repository is of a kind
// that somebody wrote.
func TestTreeHoldsWhatSomebodyWrote(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z").Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("git ls-files: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal("git ls-files:", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if !written(name) {
			t.Errorf("%s: is it left over from a test? Remove it, or name its kind in tree_test.go", name)
		}
	}
}

// What was recorded can be repeated elsewhere: it names no file of the machine that it ran on.
func TestRecordedRunsNameNoMachine(t *testing.T) {
	record, err := os.ReadFile("docs/demo.txt")
	if err != nil {
		t.Fatal(err)
	}
	if file := regexp.MustCompile(`(?m)(^|[\s=])/\w.*`).Find(record); file != nil {
		t.Errorf("docs/demo.txt has %q: record it as its first lines say", file)
	}
}

func TestTreeRuleBites(t *testing.T) {
	for name, want := range map[string]bool{
		"worker/embedded/lock": false, "worker/embedded/nats.url": false, "bus/x.test": false, "worker/config/testdata/fuzz/FuzzParse/8a3b": true,
		"dedupe/mongo/testdata/rapid/TestModel/TestModel-1.fail": false, "bus/event.go": true, "scripts/test": true, "LICENSE": true, ".gitignore": true,
		"report.html": false, "cmd/worker/internal/report/page.html": true,
		"worker/x.js": false, "x.png": false, "worker/admin/dashboard/assets/main.js": true, "docs/img/groups.png": true,
	} {
		if written(name) != want {
			t.Errorf("%s: %v, want %v", name, !want, want)
		}
	}
}

// written tells files by their place or ending.
func written(name string) bool {
	switch folder := path.Dir(name); {
	case folder == "scripts", folder == ".ci", strings.HasPrefix(name, ".github/"), strings.Contains(name, "/testdata/fuzz/"):
		return true
	case strings.HasPrefix(name, "cmd/worker/internal/report/") && path.Ext(name) == ".html":
		return true
	case folder == "deploy/nats" && path.Ext(name) == ".conf", folder == "deploy/mongo" && path.Ext(name) == ".js":
		return true
	case folder == "docs/img" && path.Ext(name) == ".png":
		return true
	case slices.Contains([]string{
		"docs/openapi.json", ".dockerignore", "deploy/go.mod", "deploy/go.sum", "deploy/docker/Dockerfile", "deploy/compose/nats.conf",
		"deploy/systemd/onceish.service", "deploy/grafana/onceish.json",
	}, name), folder == "deploy/testdata/schemas":
		return true
	case folder == "worker/admin/dashboard/assets" && slices.Contains([]string{".html", ".css", ".js", ".svg"}, path.Ext(name)):
		return true
	case folder == ".":
		if slices.Contains([]string{".gitignore", "LICENSE", "go.mod", "go.sum"}, name) {
			return true
		}
	}
	return slices.Contains([]string{".go", ".md", ".txtar", ".yaml", ".yml", ".sh", ".txt"}, path.Ext(name))
}
