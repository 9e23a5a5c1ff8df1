package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// longChaos is a run that goes on until it is ended, while a process is frozen or NATS is down.
const longChaos = "chaos --lease 1s --duration 10m --faults "

func (h *house) chaos(faults string) *family {
	h.t.Helper()
	command, flags, _ := strings.Cut(longChaos+faults, " ")
	return h.family(command, flags)
}

func TestInterruptedChaosLeavesNothing(t *testing.T) {
	t.Parallel()
	for faults, what := range map[string]string{"freeze": ": freeze worker", "restart": ": kill NATS"} {
		t.Run(faults, func(t *testing.T) {
			t.Parallel()
			f := newHouse(t).chaos(faults)
			f.says(what)
			f.signal(syscall.SIGINT)
			f.exits(1)
			f.says("worker: interrupted")
			f.dies()
			if left, err := os.ReadDir(f.tmp); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// A process that is frozen dies with the command as well.
func TestKilledChaosLeavesNoProcess(t *testing.T) {
	t.Parallel()
	f := newHouse(t).chaos("freeze")
	f.says(": freeze worker")
	f.kill()
	f.dies()
}

// Chaos until a violation ends in order when people have seen enough.
func TestChaosUntilViolationEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	f := newHouse(t).family("chaos", "--lease 1s --duration 2s --rate 50 --faults drain --until-violation --seed 1")
	f.says("; seed 1\n")
	f.says("; seed " + strconv.FormatUint(nextSeed(1), 10) + "\n")
	f.signal(syscall.SIGINT)
	f.exits(0)
	f.says("no violation in 1 round before")
	f.dies()
}

func TestChaosPrintsOneObjectAndWritesAReport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	page := h.path("report.html")
	out := h.output(0, "chaos", "--lease", "1s", "--duration", "3s", "--rate", "50", "--faults", "kill,consumer", "--seed", "7", "-o", "json", "-q", "--report", page)
	var got map[string]any
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(&got); err != nil || got["seed"] != 7.0 || got["events"] != 150.0 || got["lost"] != 0.0 {
		t.Errorf("%v: %s", err, out)
	}
	if err := d.Decode(&got); err != io.EOF {
		t.Errorf("more than one object: %v", err)
	}
	keys := []string{
		"cancelled", "dead_letters", "dead_letters_meant", "duplicates", "effects", "events", "failures", "faults", "kinds", "lost", "lost_claims",
		"lost_claims_unexplained", "max_attempt", "most_per_kill", "processes", "published", "repeated", "repeated_unexplained", "replay", "runs", "seconds",
		"seed", "settle_seconds", "store",
	}
	delete(got, "inconclusive") // the machine decides
	if !slices.Equal(slices.Sorted(maps.Keys(got)), keys) {
		t.Errorf("%s", out)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Effects per second", "Resident memory", "kill worker ", "--seed 7 "} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}

// A run is repeated by the line that it prints.
func TestChaosReplaysItsFaults(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	type result struct {
		Replay string `json:"replay"`
		Faults []struct {
			Text string `json:"text"`
		} `json:"faults"`
	}
	var first, again result
	out := h.output(0, "chaos", "--lease", "1s", "--duration", "3s", "--rate", "50", "-o", "json", "-q")
	if err := json.Unmarshal([]byte(out), &first); err != nil || len(first.Faults) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	words := strings.Fields(first.Replay)
	if len(words) < 2 || words[0] != "worker" {
		t.Fatal(first.Replay)
	}
	out = h.output(0, append(words[1:], "-o", "json", "-q")...)
	if err := json.Unmarshal([]byte(out), &again); err != nil || !slices.Equal(first.Faults, again.Faults) {
		t.Errorf("%v: %v, want %v", err, again.Faults, first.Faults)
	}
}

func TestChaosRefusesWhatCannotBe(t *testing.T) {
	for flags, want := range map[string]string{
		"--faults fire":                     `there is no fault "fire": choose some of kill, freeze,`,
		"--faults mongo":                    "the fault mongo needs the store mongo",
		"--faults restart --nats localhost": "kills a NATS server, and chaos did not start this one",
		"--mongo mongodb://h":               "--mongo is for --store mongo",
		"--store memory":                    "kv",
		"--duration 0s":                     "--duration is 0s",
		"--lease 0s":                        "--lease is 0s",
		"--duration 1s":                     "two leases, 6s",
		"--lease 1ms":                       "the lease is 1ms: 1s to 1m0s",
		"--duplicates 2":                    "a share, from 0 to 1",
		"--rate 100000 --duration 1h":       "5000000 events in all",
		"--processes 51":                    "1 to 50",
		"--rate 9223372036854775807":        "5000000 events in all",
		"now":                               `unexpected argument "now"`,
	} {
		var stderr strings.Builder
		args := append([]string{"worker", "chaos"}, strings.Fields(flags)...)
		if status := execArgs(t.Context(), args, strings.NewReader(""), io.Discard, &stderr); status != 2 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit status %d, want %q:\n%s", flags, status, want, &stderr)
		}
	}
}

// Nobody waits for work whose report cannot be written.
func TestReportThatCannotBeWrittenIsRefusedBeforeTheWork(t *testing.T) {
	page := filepath.Join(t.TempDir(), "missing", "report.html")
	for _, command := range []string{"chaos", "bench --bus memory --events 10"} {
		var stderr strings.Builder
		args := append([]string{"worker"}, strings.Fields(command)...)
		status := execArgs(t.Context(), append(args, "--report", page), strings.NewReader(""), io.Discard, &stderr)
		if status != 1 || !strings.Contains(stderr.String(), "write report: open "+page) || strings.Contains(stderr.String(), "publish") {
			t.Errorf("%s: exit status %d:\n%s", command, status, &stderr)
		}
	}
}
