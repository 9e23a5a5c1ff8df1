package exec

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// ending collects how the events of a subscription end.
type ending struct {
	mu      sync.Mutex
	handled map[string]int
	failed  map[string]int
	dead    map[string]int
	over    chan struct{} // closed when so many are handled or dead
	want    int
}

// Observe implements consumer.Observer.
func (e *ending) Observe(o consumer.Observation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch o.Outcome {
	case consumer.OutcomeHandled:
		e.handled[o.Key.ID]++
	case consumer.OutcomeFailed:
		e.failed[o.Key.ID]++
	case consumer.OutcomeDead:
		e.dead[o.Key.ID]++
	default:
		return
	}
	if len(e.handled)+len(e.dead) == e.want {
		close(e.over)
		e.want = -1
	}
}

// An event that kills the command is dead-lettered with what the command said. The innocents that
// were in hand are done, and not one attempt of theirs has failed.
func TestPoisonEventTakesNoInnocentWithIt(t *testing.T) {
	t.Parallel()
	b, err := membus.New(nil)
	must(t, err)
	store, err := memdedupe.New(nil)
	must(t, err)
	const innocents = 60
	for i := range innocents {
		if i == innocents/2 {
			_, err = b.Publish(t.Context(), doing("poison", "die", ""))
			must(t, err)
		}
		_, err = b.Publish(t.Context(), doing(fmt.Sprintf("innocent-%d", i), "linger", ""))
		must(t, err)
	}
	r := begin(t, obedient, nil)
	end := &ending{handled: map[string]int{}, failed: map[string]int{}, dead: map[string]int{}, over: make(chan struct{}), want: innocents + 1}
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "t", "g", store, r.Handle, &consumer.Options{
		MaxAttempts: 3, Backoff: consumer.Backoff{Base: time.Millisecond, Max: time.Millisecond}, Observer: end, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	<-end.over
	must(t, sub.Drain(context.Background()))
	if len(end.handled) != innocents || len(end.dead) != 1 || end.failed["poison"] != 2 || len(end.failed) != 1 {
		t.Errorf("handled %d, dead %v, failed %v", len(end.handled), end.dead, end.failed)
	}
	if n := strings.Count(r.out.String(), "read poison\n"); n < 3 || n > 4 {
		t.Errorf("it was read %d times: want 3 alone, and at most 1 beside others", n)
	}
	l := letter(t, b)
	if l.Event.ID != "poison" || l.Attempts != 3 || !strings.Contains(l.Reason, "exit status 3") || !strings.Contains(l.Reason, "poisoned") {
		t.Errorf("%s, %d attempts: %s", l.Event.ID, l.Attempts, l.Reason)
	}
}

func letter(t *testing.T, b *membus.Bus) *consumer.Letter {
	t.Helper()
	s, err := b.Subscribe(t.Context(), "dead.g", "inspector", nil)
	must(t, err)
	defer func() { must(t, s.Close(context.Background())) }()
	ds, err := s.Fetch(t.Context(), 10)
	must(t, err)
	if len(ds) != 1 {
		t.Fatalf("%d letters", len(ds))
	}
	l, err := consumer.ParseLetter(ds[0].Event)
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
