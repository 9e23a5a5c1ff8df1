package worker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/bus/bustest"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe/dedupetest"
	"github.com/onceish/onceish/internal/testing/faulty"
	"github.com/onceish/onceish/worker/embedded"
)

// A process of these tests runs a worker that dies at a call, before or after it was done.
const deathVariable = "ONCEISH_TEST_DEATH"

func dieAt(death string) {
	when, call, _ := strings.Cut(death, " ")
	err := effect(os.Getenv("ONCEISH_TEST_DIR"), func(c faulty.Call) faulty.Fault {
		if string(c) != call {
			return faulty.Fault{}
		}
		if when == "before" {
			kill()
		}
		return faulty.Fault{Then: kill}
	})
	panic(fmt.Sprintf("still alive: %v", err))
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// effect publishes an event, once more each time, and writes a line for it, all with what is kept
// in the directory.
func effect(dir string, plan faulty.Plan) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	c, err := Connect(ctx, &ConnectOptions{Logger: quiet, Embed: func(ctx context.Context, log *slog.Logger) (Embedded, error) {
		return embedded.Open(ctx, filepath.Join(dir, "data"), log)
	}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Bus().Topic(ctx, "t", "", bus.Start{}); err != nil {
		return err
	}
	if _, err := c.Bus().Publish(ctx, bus.Event{Topic: "t", ID: "1"}); err != nil {
		return err
	}
	store, err := c.Store(ctx)
	if err != nil {
		return err
	}
	handler := func(context.Context, bus.Event) error {
		f, err := os.OpenFile(filepath.Join(dir, "effects"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString("effect\n")
		return err
	}
	w, err := New("g", Over(bustest.Faulty(c.Bus(), plan), dedupetest.Faulty(store.(dedupetest.Inner), plan)), &Options{UntilEmpty: true, Logger: quiet})
	if err != nil {
		return err
	}
	w.Handle("t", handler, &consumer.Options{Lease: time.Second, AckWait: time.Second})
	return w.Run(ctx)
}

// Wherever a worker dies but between the effect and its mark, there is one effect; there,
// there may be two.
func TestKilledWorkerMakesOneEffect(t *testing.T) {
	t.Parallel()
	for death, want := range map[string]int{
		"before fetch":  1,
		"before claim":  1,
		"after claim":   1, // before the handler starts
		"before settle": 2, // the price of effects that are not in the store
		"after settle":  1, // marked, not acknowledged
		"before ack":    1,
		"after ack":     1,
	} {
		t.Run(death, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			victim := exec.Command(os.Args[0])
			victim.Env = append(os.Environ(), deathVariable+"="+death, "ONCEISH_TEST_DIR="+dir)
			if out, err := victim.CombinedOutput(); err == nil || err.Error() != "signal: killed" {
				t.Fatalf("%v, want killed:\n%s", err, out)
			}
			for range 2 {
				if err := effect(dir, func(faulty.Call) faulty.Fault { return faulty.Fault{} }); err != nil {
					t.Fatal(err)
				}
			}
			effects, err := os.ReadFile(filepath.Join(dir, "effects"))
			if n := strings.Count(string(effects), "\n"); err != nil || n != want {
				t.Errorf("%d effects, want %d (%v)", n, want, err)
			}
		})
	}
}
