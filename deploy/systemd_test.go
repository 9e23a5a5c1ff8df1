package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const unitFile = "systemd/onceish.service"

// directives are those of the unit, the last of each.
func directives(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for line := range strings.Lines(read(t, unitFile)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			found[name] = value
		}
	}
	return found
}

func seconds(t *testing.T, text string) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(text)
	must(t, err)
	return time.Duration(n) * time.Second
}

// The unit gives a worker the time that it takes, and has what its exit status means.
func TestUnitFitsTheWorker(t *testing.T) {
	t.Parallel()
	unit := directives(t)
	c := parseWorkerFile(t, "group: g\nnats: {url: nats://localhost}\nsubscriptions: [{topic: t, handler: {log: {}}}]")
	if stop := seconds(t, unit["TimeoutStopSec"]); stop < c.Drain+10*time.Second {
		t.Errorf("TimeoutStopSec is %v, and a worker drains for %v", stop, c.Drain)
	}
	for name, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "main", "KillMode": "mixed", "Restart": "on-failure", "RestartPreventExitStatus": "2",
		// Else the watchdog's signal ends the worker with exit status 2, and it stays down.
		"Environment": "GOTRACEBACK=crash",
	} {
		if unit[name] != want {
			t.Errorf("%s is %q, want %q", name, unit[name], want)
		}
	}
	if watchdog := seconds(t, unit["WatchdogSec"]); watchdog < 30*time.Second {
		t.Errorf("WatchdogSec is %v: a busy machine may miss pings", watchdog)
	}
}

// systemd itself finds nothing wrong with the unit. Without systemd, the test above is all.
func TestUnitIsWhatSystemdTakes(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here")
		return
	}
	verify := func(text string) string {
		program := filepath.Join(t.TempDir(), "worker")
		must(t, os.WriteFile(program, nil, 0o755))
		unit := filepath.Join(t.TempDir(), "onceish.service")
		must(t, os.WriteFile(unit, []byte(strings.ReplaceAll(text, "/usr/local/bin/worker", program)), 0o600))
		out, _ := exec.CommandContext(t.Context(), analyze, "verify", unit).CombinedOutput()
		return string(out)
	}
	unit := read(t, unitFile)
	if out := verify(unit); strings.Contains(out, "onceish.service") {
		t.Error(out)
	}
	if out := verify(strings.Replace(unit, "WatchdogSec", "WatchDogSecs", 1)); !strings.Contains(out, "WatchDogSecs") {
		t.Errorf("nothing is wrong with WatchDogSecs: %s", out)
	}
}
