package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// An export that was interrupted names the position after which another one goes on.
func TestInterruptedExportSaysWhereToGoOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("t", `{"id":"1"}`)
	out, err := os.Create(h.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	h.stdout = out
	first := h.start("export", "--follow", "t")
	if line := h.wait("out"); !strings.Contains(line, `"id":"1"`) {
		t.Errorf("exported %q", line)
	}
	h.publish("t", `{"id":"2"}`)
	first.signal(syscall.SIGINT)
	first.exits(0)
	log, err := os.ReadFile(first.stderr)
	if err != nil {
		t.Fatal(err)
	}
	position := regexp.MustCompile(`go on with --after '([^']+)'`).FindSubmatch(log)
	if position == nil {
		t.Fatalf("it said %q", log)
	}
	h.publish("t", `{"id":"3"}`)
	h.start("export", "--after", string(position[1]), "t").exits(0)
	all, err := os.ReadFile(h.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`"id":"(\d)"`).FindAllStringSubmatch(strings.ReplaceAll(string(all), `{"id"`, ""), -1)
	var got string
	for _, id := range ids {
		got += id[1]
	}
	if got != "123" {
		t.Errorf("exported %q; want 1, 2 and 3, each once", got)
	}
}
