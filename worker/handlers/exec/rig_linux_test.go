package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// obedient is this program as a command that does what the events say.
var obedient = "exec '" + os.Args[0] + "' obedient"

// rig is a Stream, what its command writes to standard error, and its log.
type rig struct {
	*Stream
	t   *testing.T
	out *journal
	log *journal

	probes int
}

func begin(t *testing.T, line string, o *Options) *rig {
	t.Helper()
	opts := Options{}
	if o != nil {
		opts = *o
	}
	if opts.Grace == 0 {
		opts.Grace = 10 * time.Second
	}
	r := &rig{t: t, out: newJournal(), log: newJournal()}
	opts.Guard, opts.Env, opts.Stderr = []string{os.Args[0], "guard"}, os.Environ(), r.out
	opts.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	r.Stream, err = NewStream("g", line, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// ctx is one that a subscription gives to the handler of an event.
func (r *rig) ctx(id string) context.Context { return within(r.t.Context(), id) }

func within(ctx context.Context, id string) context.Context {
	return consumer.WithAttempt(ctx, consumer.Attempt{Number: 1, Token: 1, IdempotencyKey: id})
}

func doing(id, do, text string) bus.Event {
	data, err := json.Marshal(order{Do: do, Text: text})
	if err != nil {
		panic(err)
	}
	return bus.Event{ID: id, Topic: "t", Data: data}
}

// handle hands over an event, and returns what becomes of it.
func (r *rig) handle(id, do string) error {
	return r.Handle(r.ctx(id), doing(id, do, ""))
}

// start hands over an event, and returns once the command has read it.
func (r *rig) start(ctx context.Context, id, do string) <-chan error {
	r.t.Helper()
	err := make(chan error, 1)
	go func() { err <- r.Handle(within(ctx, id), doing(id, do, "")) }()
	r.out.await(r.t, "read "+id+"\n")
	return err
}

// is checks an error: it says what it should, and counts an attempt or not.
func is(t *testing.T, err error, snoozed bool, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: does not say %q", err, w)
		}
	}
	if got := strings.Contains(err.Error(), "snoozed for"); got != snoozed {
		t.Errorf("%v: counts an attempt: %v", err, !got)
	}
}

// journal is a writer that can be waited for.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newJournal() *journal { return &journal{grown: make(chan struct{})} }

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.text.Len() < 1<<20 {
		j.text.Write(p)
	}
	close(j.grown)
	j.grown = make(chan struct{})
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// await waits until the text was written.
func (j *journal) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		j.mu.Lock()
		grown := j.grown
		found := strings.Contains(j.text.String(), text)
		j.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case <-late:
			t.Fatalf("nobody wrote %q: %.2000s", text, j)
		}
	}
}
