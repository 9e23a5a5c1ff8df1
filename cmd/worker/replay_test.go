package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A replay that was interrupted names the position after which another one goes on, and one that
// was killed is repeated: each event is handled, and once.
func TestReplayInterruptedGoesOn(t *testing.T) {
	t.Parallel()
	const events = 40
	for name, c := range map[string]struct {
		signal os.Signal
		status int
	}{"interrupted": {syscall.SIGINT, 1}, "killed": {syscall.SIGKILL, -1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			server := h.start("serve")
			h.wait("data/nats.url") // it serves, and whoever starts now joins it
			var lines strings.Builder
			for i := range events {
				fmt.Fprintf(&lines, "{\"id\":\"%d\"}\n", i)
			}
			h.publish("t", lines.String())
			h.start("run", "--topic", "t", "--group", "g", "--start", "latest", "--exec", "true", "--until-empty").exits(0)
			watcher := h.start("run", "--topic", "t", "--group", "g", "--concurrency", "1", "--exec", "echo $CE_ID >>handled")
			first := h.start("replay", "t", "--to-group", "g", "--rps", "1", "--yes")
			h.wait("handled")
			first.signal(c.signal)
			first.exits(c.status)
			log, err := os.ReadFile(first.stderr)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"replay", "t", "--to-group", "g", "--rps", "0", "--yes"}
			if c.signal == syscall.SIGINT {
				position := regexp.MustCompile(`go on with --after '([^']+)'`).FindSubmatch(log)
				if position == nil {
					t.Fatalf("it said %q", log)
				}
				args = append(args, "--after", string(position[1]))
			}
			h.start(args...).exits(0)
			watcher.signal(syscall.SIGTERM)
			watcher.exits(0)
			h.start("run", "--topic", "t", "--group", "g", "--concurrency", "1", "--exec", "echo $CE_ID >>handled", "--until-empty").exits(0)
			server.signal(syscall.SIGTERM)
			server.exits(0)
			handled, err := os.ReadFile(h.path("handled"))
			if err != nil {
				t.Fatal(err)
			}
			ids := bytes.Fields(handled)
			slices.SortFunc(ids, bytes.Compare)
			if unique := slices.CompactFunc(slices.Clone(ids), bytes.Equal); len(ids) != events || len(unique) != events {
				t.Errorf("%d runs of %d events; want %d", len(ids), len(unique), events)
			}
		})
	}
}
