package telemetry_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/onceish/onceish/worker/telemetry"
)

var update = flag.Bool("update", false, "write the table of docs/observability.md")

const (
	documentFile = "../../docs/observability.md"
	tableBegins  = "<!-- Made by go test ./worker/telemetry -run TestDocument -update: do not edit. -->\n"
	tableEnds    = "<!-- The end of what is made. -->\n"
)

func TestDocumentHasEveryMetric(t *testing.T) {
	text, err := os.ReadFile(documentFile)
	must(t, err)
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatal("docs/observability.md has no place for the table of metrics")
	}
	want := before + tableBegins + metricsTable() + tableEnds + after
	if *update {
		must(t, os.WriteFile(documentFile, []byte(want), 0o600))
		return
	}
	if string(text) != want {
		t.Error("docs/observability.md is not what worker/telemetry says: run go test ./worker/telemetry -run TestDocument -update")
	}
}

// metricsTable has a row for each metric. Labels that are the same for all of OpenTelemetry's are
// described beside it.
func metricsTable() string {
	var b strings.Builder
	b.WriteString("\n| metric | unit | labels | what it is | look at it when |\n|---|---|---|---|---|\n")
	for _, m := range telemetry.Catalogue() {
		unit := strings.Trim(m.Unit, "{}")
		if unit == "s" {
			unit = "seconds"
		}
		labels := strings.Join(m.Labels, ", ")
		if strings.HasPrefix(m.Name, "messaging.") {
			labels = strings.ReplaceAll(labels, "messaging_", "")
		}
		fmt.Fprintf(&b, "| `%s`<br>%s, `%s` | %s | %s | %s | %s |\n", m.Prometheus, m.Kind, m.Name, unit, labels, m.Meaning, m.Worry)
	}
	return b.String() + "\n"
}
