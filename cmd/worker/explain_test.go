package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/explain"
)

// Neither an event, nor what its handler says of it, moves, colours or turns round what a terminal
// shows.
func TestExplainAndLagPrintNothingThatATerminalObeys(t *testing.T) {
	t.Parallel()
	s, b := newStream(t)
	const hostile = "\x1b[2J\u202e\u009bx\r\ny'"
	store, err := kvdedupe.New(t.Context(), s.Connect(t), &kvdedupe.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	died := make(chan struct{}, 1)
	sub, err := consumer.SubscribeExactlyOnce(t.Context(), b, "t", "g", store, func(_ context.Context, e bus.Event) error {
		if e.Key == "" {
			return consumer.Permanent(errors.New(hostile))
		}
		died <- struct{}{}
		return errors.New(hostile)
	}, &consumer.Options{Concurrency: 1, Backoff: consumer.Backoff{Base: time.Hour, Max: time.Hour}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long", 2500)
	publishEvents(t, b, bus.Event{ID: hostile, Topic: "t", Source: hostile, Type: hostile}, bus.Event{ID: long, Topic: "t", Key: hostile})
	<-died
	if err := sub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for want, command := range map[string][]string{
		"dead-lettered at ": {"explain", "t", "g", hostile},
		"retrying":          {"explain", "t", "g", long},
		"not found":         {"explain", "t", "g", "\xff" + hostile},
		"attempt 2":         {"lag", "g"},
	} {
		for _, format := range []string{"text", "json"} {
			var out, log strings.Builder
			args := append(append([]string{"worker"}, command...), "--nats", s.URL(), "--mongo=", "-o", format)
			if code := execArgs(t.Context(), args, strings.NewReader(""), &out, &log); code != 0 {
				t.Errorf("%s: exit status %d: %s", want, code, log.String())
			}
			harmless(t, out.String())
			if !strings.Contains(out.String(), want) && (want != "not found" || format == "json") {
				t.Errorf("%s: printed %.2000q", want, out.String())
			}
		}
	}
}

// The command that redrives a letter can be pasted, whatever its id is.
func TestRedriveAdviceIsQuoted(t *testing.T) {
	t.Parallel()
	for letter, want := range map[string]string{
		"g/t-1@17/2/3": "worker dlq redrive g --id g/t-1@17/2/3",
		"a'b; rm -rf":  `worker dlq redrive g --id 'a'\''b; rm -rf'`,
	} {
		if got := redriveAdvice("g", &explain.Standing{State: explain.Dead, Letter: letter}); !strings.HasSuffix(got, want) {
			t.Errorf("%q: %s", letter, got)
		}
	}
	if got := redriveAdvice("g", &explain.Standing{State: explain.Done, Letter: "x"}); got != "" {
		t.Errorf("a done event: %s", got)
	}
}
