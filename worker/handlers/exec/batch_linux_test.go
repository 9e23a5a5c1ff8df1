package exec

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// inBatches has the events done by a Stream, in batches of ten, and returns how they ended.
func inBatches(t *testing.T, n int, do func(i int) string) (*rig, *ending) {
	t.Helper()
	b, err := membus.New(nil)
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	for i := range n {
		_, err = b.Publish(t.Context(), doing(fmt.Sprintf("event-%d", i), do(i), ""))
		must(t, err)
	}
	r := begin(t, obedient, nil)
	end := &ending{handled: map[string]int{}, failed: map[string]int{}, dead: map[string]int{}, over: make(chan struct{}), want: n}
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "t", "g", store, consumer.Batch(r.HandleBatch, &consumer.BatchOptions{Size: 10, Wait: 20 * time.Millisecond}),
		&consumer.Options{Concurrency: 10, MaxAttempts: 3, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Observer: end, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	<-end.over
	must(t, sub.Drain(t.Context()))
	return r, end
}

// The lines of a batch follow one another, and say their place in it.
func TestLinesOfABatchSayTheirPlace(t *testing.T) {
	t.Parallel()
	r, end := inBatches(t, 30, func(int) string { return "linger" })
	if len(end.handled) != 30 || len(end.failed) > 0 {
		t.Errorf("%d events were handled, want 30; failed: %v", len(end.handled), end.failed)
	}
	next, size, largest := 0, 0, 0
	for line := range strings.Lines(r.out.String()) {
		var index, of int
		if n, _ := fmt.Sscanf(line, "batch %d of %d", &index, &of); n < 2 {
			continue
		}
		if index == 0 {
			if next != size {
				t.Fatalf("a batch of %d has ended after %d lines:\n%s", size, next, r.out)
			}
			next, size = 0, of
		}
		if index != next || of != size {
			t.Fatalf("line %d of %d, want %d of %d:\n%s", index, of, next, size, r.out)
		}
		next, largest = next+1, max(largest, of)
	}
	if largest != 10 || next != size {
		t.Errorf("the largest batch has %d lines, want 10; the last one has %d of %d", largest, next, size)
	}
}

// An event that ends the command costs the others of its batch no attempt: all are suspects, each
// runs alone, and it alone is dead-lettered.
func TestPoisonEventOfABatchTakesNoInnocentWithIt(t *testing.T) {
	t.Parallel()
	_, end := inBatches(t, 30, func(i int) string {
		if i == 14 {
			return "die"
		}
		return "linger"
	})
	if len(end.dead) != 1 || end.dead["event-14"] != 1 {
		t.Errorf("dead-lettered: %v, want event-14", end.dead)
	}
	delete(end.failed, "event-14")
	if len(end.handled) != 29 || len(end.failed) > 0 {
		t.Errorf("%d events were handled, want 29; failed: %v", len(end.handled), end.failed)
	}
}
