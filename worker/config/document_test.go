package config_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

const documentFile = "../../docs/configuration.md"

func TestDocumentIsWhatTheTreeSays(t *testing.T) {
	t.Parallel()
	want := config.Markdown()
	if *update {
		if err := os.WriteFile(documentFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(documentFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/configuration.md is not what worker/config says (%v): run go test ./worker/config -run TestDocument -update", err)
	}
}

func TestDocumentsExampleHasEveryKeyAndNoProblems(t *testing.T) {
	t.Parallel()
	doc := string(config.Markdown())
	example := string(config.Example())
	if !strings.Contains(doc, strings.TrimSpace(example)) {
		t.Error("the example is not in the document")
	}
	if problems := lint("example.yaml", config.Example(), env(nil)); len(problems) > 0 {
		t.Errorf("the example:\n%v", problems)
	}
	keys := regexp.MustCompile("(?m)^\\| `([a-z_]+)` ").FindAllStringSubmatch(doc, -1)
	if len(keys) < 30 {
		t.Errorf("only %d keys are documented", len(keys))
	}
	for _, key := range keys {
		if !regexp.MustCompile(`\b` + key[1] + `:`).MatchString(example) {
			t.Errorf("the example has no %s", key[1])
		}
	}
	for _, gap := range []string{"{{", "}}", "| | |\n| `"} {
		if strings.Contains(doc, gap) {
			t.Errorf("the document has %q", gap)
		}
	}
}
