package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/worker/embedded"
)

// A process of this test runs a worker that handles batches, and dies of one event.
const poisonedVariable = "ONCEISH_TEST_POISONED"

const (
	poison    = "poison"
	innocents = 30
)

// batchLine is what the handler writes of each of its calls, before it does anything.
type batchLine struct {
	IDs []string `json:"ids"`
}

// runPoisoned handles what is kept in the directory, and dies of a batch with the poison.
func runPoisoned(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	c, err := Connect(ctx, &ConnectOptions{Logger: quiet, Embed: func(ctx context.Context, log *slog.Logger) (Embedded, error) {
		return embedded.Open(ctx, filepath.Join(dir, "data"), log)
	}})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := publishInnocentsAndPoison(ctx, c.Bus()); err != nil {
		return err
	}
	store, err := c.Store(ctx)
	if err != nil {
		return err
	}
	w, err := New("g", Over(c.Bus(), store), &Options{UntilEmpty: true, Logger: quiet})
	if err != nil {
		return err
	}
	var mu sync.Mutex // a line at a time
	w.Handle("t", consumer.Batch(func(_ context.Context, es []bus.Event) []error {
		mu.Lock()
		defer mu.Unlock()
		return appendBatch(dir, es)
	}, &consumer.BatchOptions{Size: 10}), &consumer.Options{Concurrency: 10, Lease: 500 * time.Millisecond, AckWait: 500 * time.Millisecond})
	return w.Run(ctx)
}

func publishInnocentsAndPoison(ctx context.Context, b bus.Bus) error {
	if _, err := b.Topic(ctx, "t", "", bus.Start{}); err != nil {
		return err
	}
	es := make([]bus.Event, 0, innocents+1)
	for i := range innocents {
		if i == innocents/2 {
			es = append(es, bus.Event{Topic: "t", ID: poison})
		}
		es = append(es, bus.Event{Topic: "t", ID: fmt.Sprint(i)})
	}
	_, err := b.Publish(ctx, es...)
	return err
}

// appendBatch notes a call, and kills the process if the poison is in it.
func appendBatch(dir string, es []bus.Event) []error {
	var line batchLine
	for _, e := range es {
		line.IDs = append(line.IDs, e.ID)
	}
	text, err := json.Marshal(line)
	if err != nil {
		return consumer.FailBatch(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "batches"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return consumer.FailBatch(err)
	}
	_, err = f.Write(append(text, '\n'))
	if slices.Contains(line.IDs, poison) {
		kill()
	}
	return consumer.FailBatch(err)
}

// readBatches returns what was called since the line of that index.
func readBatches(t *testing.T, dir string, from int) []batchLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "batches"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []batchLine
	for line := range strings.Lines(string(text)) {
		var l batchLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out[from:]
}

// An event whose batch kills its process takes others with it at most twice: they are suspects
// after the first crash, and after the second each of them is the only claim of its process. Then
// the poison dies alone until it is dead-lettered, and the others are handled.
func TestAPoisonEventOfABatchEndsAloneAndIsDeadLettered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deaths, companions := 0, []int{}
	for read := 0; ; {
		victim := exec.Command(os.Args[0])
		victim.Env = append(os.Environ(), poisonedVariable+"="+dir)
		out, err := victim.CombinedOutput()
		calls := readBatches(t, dir, read)
		read += len(calls)
		if strings.Contains(string(out), "not all events are done: dead letters: 1,") {
			break
		}
		if err == nil {
			t.Fatalf("the poison is neither handled nor dead-lettered after %d deaths:\n%s", deaths, out)
		}
		if err.Error() != "signal: killed" {
			t.Fatalf("%v:\n%s", err, out)
		}
		last := calls[len(calls)-1].IDs
		deaths, companions = deaths+1, append(companions, len(last)-1)
	}
	if deaths != 5 || slices.Max(companions[2:]) > 0 {
		t.Errorf("%d deaths beside %v others, want 5, and none beside it after the second", deaths, companions)
	}
	handled := map[string]int{}
	for _, call := range readBatches(t, dir, 0) {
		if !slices.Contains(call.IDs, poison) {
			for _, id := range call.IDs {
				handled[id]++
			}
		}
	}
	if len(handled) != innocents {
		t.Errorf("%d events were handled, want %d: %v", len(handled), innocents, handled)
	}
}
