package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

const deferringFile = `group: g
subscriptions:
  - topic: t
    handler: {exec: echo $CE_ID >>atonce}
    lease: 1s
    ack_wait: 1s
    backoff: {base: 10ms}
    defer:
      limit: 1
      per: 1h
      interval: 500ms
      max_items: 10
      handler: {exec: 'grep -o "k[0-9]*-[0-9]*" | sort -u >>summed; [ -e go ] || { echo $$ >held; sleep 1000; }'}
`

// Of two processes one makes the summaries. It is killed in the middle of one, and the other takes
// over: nothing is lost, nothing is both handled at once and summed up, and nothing is summed up
// twice but the summary that was cut short.
func TestSummariesMoveWhenTheirProcessIsKilled(t *testing.T) {
	t.Parallel()
	const keys, n = 6, 20
	h := newHouse(t)
	h.serveWithShortMemberships(3 * time.Second)
	for name, text := range map[string]string{"worker.yaml": deferringFile, "events.ndjson": keyedLines(keys, n) + "\n"} {
		if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.output(0, "publish", "--key-field", "key", "--provision", "-q", "t", "events.ndjson")
	first := h.start("run", "-c", "worker.yaml", "--concurrency", "1")
	h.wait("held")
	second := h.start("run", "-c", "worker.yaml", "--concurrency", "1")
	second.says("msg=running")
	cut := len(h.awaitLines("summed", 1))
	if err := os.WriteFile(h.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first.kill()
	h.output(0, "lag", "g", "t", "--wait", "-q")
	h.output(0, "lag", "g", "deferred.g", "--wait", "-q")

	times := make(map[string]int)
	for _, id := range h.awaitLines("summed", keys*(n-1)) {
		times[id]++
	}
	atOnce := make(map[string]bool)
	for _, id := range h.awaitLines("atonce", keys) {
		if atOnce[id] = true; times[id] > 0 {
			t.Errorf("%s was handled at once, and is in a summary", id)
		}
	}
	repeats := 0
	for line := range strings.SplitSeq(keyedLines(keys, n), "\n") {
		id := strings.Split(line, `"`)[3]
		if !atOnce[id] && times[id] == 0 {
			t.Errorf("%s is lost", id)
		}
		repeats += max(0, times[id]-1)
	}
	if repeats > cut {
		t.Errorf("%d events were summed up twice, and the summary that was cut short had %d", repeats, cut)
	}
}
