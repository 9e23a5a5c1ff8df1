package deferral

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Handler makes a summary of the deferred events of a key: those that wait, as they were published,
// in the order in which they were deferred, at most Options.MaxItems. It returns nil once the
// effect is made, and any verdict of package consumer otherwise. Of one key a Handler is called
// once at a time; of several keys at once.
//
// consumer.AttemptFrom(ctx) describes the run of the first event. ctx ends as that of a
// consumer.Handler does, and also, with the cause consumer.ErrLeaseLost, when another process has
// one of the events, or makes the summaries of the group now. An error of that counts no attempt.
//
// An error counts as an attempt of the first event alone. The others wait for the next summary, of
// which it is the first again: until its last attempt, which is for it alone, so that one bad event
// takes no others with it. A Permanent error for several events counts no attempt: the next summary
// has half as many, until it is for the first alone. With ItemErrors a Handler says for each event
// what became of it.
type Handler func(ctx context.Context, key string, events []bus.Event) error

// ItemErrors is an error of a Handler, with one item for each event: nil if its effect is made.
// Events without an item count as failed. The first event has the verdict of its item; the others
// that failed wait for the next summary.
type ItemErrors []error

// Error joins the errors of the items.
func (s ItemErrors) Error() string {
	var texts []string
	for i, err := range s {
		if err != nil {
			texts = append(texts, fmt.Sprintf("event %d of %d: %v", i+1, len(s), err))
		}
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors of the items.
func (s ItemErrors) Unwrap() []error { return s }

// ForEach returns a Handler that calls h for the events one after the other, each with an Attempt
// of its own, whose IdempotencyKey is that of the event on its own topic. It stops at the first
// that fails, so that no event of a key overtakes another.
func ForEach(h consumer.Handler) Handler {
	return func(ctx context.Context, _ string, events []bus.Event) error {
		runs := runsFrom(ctx)
		items := make(ItemErrors, len(events))
		for i, e := range events {
			of := ctx
			if i < len(runs) {
				of = consumer.WithAttempt(ctx, runs[i])
			}
			if items[i] = h(of, e); items[i] == nil {
				continue
			}
			for rest := i + 1; rest < len(items); rest++ {
				items[rest] = errNotTried
			}
			return items
		}
		return nil
	}
}

var errNotTried = errors.New("an earlier event of its key failed")

type runsKey struct{}

// runsFrom returns the runs of the events of a summary, by the context of its handler.
func runsFrom(ctx context.Context) []consumer.Attempt {
	runs, _ := ctx.Value(runsKey{}).([]consumer.Attempt)
	return runs
}
