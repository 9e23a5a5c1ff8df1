package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onceish/onceish/bus"
	membus "github.com/onceish/onceish/bus/memory"
	"github.com/onceish/onceish/consumer"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
	"github.com/onceish/onceish/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two workers over one bus: the first gives an event up, the second prints it.
func TestLettersArePrintedOnce(t *testing.T) {
	b, err := membus.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := memdedupe.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	until := func(group, topic string, h consumer.Handler) {
		w, err := worker.New(group, worker.Over(b, store), &worker.Options{UntilEmpty: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w.Handle(topic, h, &consumer.Options{Concurrency: 1})
		if err := w.Run(t.Context()); err != nil && !errors.Is(err, worker.ErrUndone) { // it gives events up
			t.Fatal(err)
		}
	}
	for _, e := range []bus.Event{
		{ID: "1", Topic: "order.placed", Data: []byte(`{"cents":-1}`)},
		{ID: "no letter", Topic: "dead.billing"},
	} {
		if _, err := b.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	large := bus.Event{ID: "large", Topic: "order.placed", Data: make([]byte, 1<<20-100)}
	if _, err := b.Publish(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	until("billing", "order.placed", func(context.Context, bus.Event) error { return consumer.Permanent(errors.New("the account is closed")) })
	var out strings.Builder
	for range 2 {
		until("on-call", "dead.billing", reader(&out))
	}
	want := []string{
		"order.placed 1: permanent: the account is closed (attempts: 1, crashes: 0)\n{\"cents\":-1}\n",
		"order.placed large: permanent: the account is closed (attempts: 1, crashes: 0)\n(in 2 parts)\n",
	}
	if got := out.String(); got != want[0]+want[1] && got != want[1]+want[0] {
		t.Errorf("printed\n%swant\n%s", got, want)
	}
	out.Reset()
	until("boss", "dead.on-call", reader(&out))
	if !strings.HasPrefix(out.String(), "dead.billing no letter: permanent: not a dead letter") {
		t.Errorf("printed\n%sof what was no letter", &out)
	}
}
