package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	natsgroup "github.com/onceish/onceish/group/nats"
	"github.com/onceish/onceish/internal/testing/natstest"
)

// keyedLines are n events of each of some keys, in turn, with ids such as k3-7.
func keyedLines(keys, n int) string {
	var lines []string
	for i := range n {
		for k := range keys {
			lines = append(lines, fmt.Sprintf(`{"id":"k%d-%d","key":"k%d"}`, k, i, k))
		}
	}
	return strings.Join(lines, "\n")
}

// awaitLines waits until a file has so many lines.
func (h *house) awaitLines(name string, n int) []string {
	h.t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(h.path(name))
		if lines := strings.Fields(string(data)); err == nil && len(lines) >= n {
			return lines
		}
	}
	h.t.Fatalf("%s does not get %d lines", name, n)
	return nil
}

// wantKeysInOrder wants each event to have had an effect, and the first ones of a key in its order.
func wantKeysInOrder(t *testing.T, effects []string, keys, n int) {
	t.Helper()
	next, seen := make(map[string]int), make(map[string]bool)
	for _, id := range effects {
		if seen[id] {
			continue // repeated, by a crash
		}
		seen[id] = true
		key, number, _ := strings.Cut(id, "-")
		if want := fmt.Sprint(next[key]); number != want {
			t.Errorf("%s has its first effect where %s-%s was next", id, key, want)
		}
		next[key]++
	}
	if len(seen) != keys*n {
		t.Errorf("%d events have an effect, want %d", len(seen), keys*n)
	}
}

// Three processes share 16 partitions, while one is killed, one drains, one is frozen for longer
// than it can own them, and others join. The order of each key holds over all of them, and
// nothing is lost.
func TestPartitionsKeepTheOrderOverProcessesThatDieDrainAndFreeze(t *testing.T) {
	t.Parallel()
	const keys, n = 24, 30
	h := newHouse(t)
	h.serveWithShortMemberships(3 * time.Second)
	h.publishPartitioned(keyedLines(keys, n))
	run := quick(`echo $CE_ID >>effects; sleep 0.02`, "--order", "partitions:16", "--concurrency", "4", "--drain", "5s")
	a, b, c := h.start(run...), h.start(append(run, "--name", "b")...), h.start(run...)
	h.awaitLines("effects", keys)
	a.kill()
	h.awaitLines("effects", 2*keys)
	b.signal(syscall.SIGTERM)
	b.exits(0)
	h.start(append(run, "--name", "b")...)
	h.awaitLines("effects", 3*keys)
	c.signal(syscall.SIGSTOP)
	h.start(run...)
	h.output(0, "lag", "g", "t", "--wait", "-q") // over the end of the frozen one's ownership
	c.signal(syscall.SIGCONT)
	wantKeysInOrder(t, h.awaitLines("effects", keys*n), keys, n)
}

// serveWithShortMemberships serves NATS, with a bucket in which a process that is gone soon has no
// place any more.
func (h *house) serveWithShortMemberships(ttl time.Duration) {
	h.t.Helper()
	h.start("serve")
	nc := natstest.Connect(h.t, h.wait("data/nats.url"))
	_, err := natsgroup.New(h.t.Context(), nc, &natsgroup.Options{MemberTTL: ttl, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
}

// publishPartitioned publishes lines to 16 partitions of t.
func (h *house) publishPartitioned(lines string) {
	h.t.Helper()
	if err := os.WriteFile(h.path("events.ndjson"), []byte(lines+"\n"), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.output(0, "publish", "--key-field", "key", "--partitions", "16", "--provision", "-q", "t", "events.ndjson")
}

// awaitOutput waits until a command says something: processes report what they do a little later.
func (h *house) awaitOutput(want string, args ...string) {
	h.t.Helper()
	out := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if out = h.output(0, args...); strings.Contains(out, want) {
			return
		}
	}
	h.t.Fatalf("%q does not say %q:\n%s", args, want, out)
}

// An exclusive topic is one process's, and a standby takes it over when it drains.
func TestStandbyTakesAnExclusiveTopicOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.serveWithShortMemberships(3 * time.Second)
	run := quick(`echo $CE_ID >>effects`, "--order", "exclusive", "--provision")
	first := h.start(run...)
	first.says("partition assigned")
	second := h.start(run...)
	second.says("msg=running")
	h.publish("t", event)
	h.awaitLines("effects", 1)
	h.awaitOutput("another process of the group has the topic", "status", "g")
	first.signal(syscall.SIGTERM)
	first.exits(0)
	second.says("partition assigned")
	h.publish("t", `{"id":"2"}`)
	h.lines("effects", h.awaitLines("effects", 2)...)
}

// What was published outside of the layout that a group reads can be moved into it, and does not
// run twice; what was given up is redriven into it, and members and plans are shown.
func TestStraysMoveIntoThePartitionsOfTheirGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.start("serve")
	h.wait("data/nats.url")
	h.publishPartitioned(keyedLines(3, 2))
	w := h.start(quick(`test $CE_ID = bad && test ! -e mended && exit 65; echo $CE_ID >>effects`, "--order", "partitions:16")...)
	h.awaitLines("effects", 6)
	h.publish("t", `{"id":"stray","key":"k1"}`+"\n"+`{"id":"k1-0","key":"k1"}`)
	for range 2 {
		h.output(0, "replay", "t", "--to-topic", "t", "--partitions", "16", "--yes", "-q")
	}
	h.awaitLines("effects", 7)
	for _, want := range []string{"PARTITIONS", "0-15", "15 of 16"} {
		h.awaitOutput(want, "members", "g")
	}
	h.publishPartitioned(`{"id":"bad","key":"k2"}`)
	w.says("dead-lettered")
	if err := os.WriteFile(h.path("mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.output(0, "dlq", "redrive", "g", "--id", "bad", "-q")
	h.awaitLines("effects", 8)
	h.output(0, "lag", "g", "t", "--wait")
	if effects := h.awaitLines("effects", 8); len(effects) != 8 {
		t.Errorf("effects %q, want each once", effects)
	}
}
