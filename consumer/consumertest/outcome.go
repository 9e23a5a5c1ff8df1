package consumertest

import (
	"fmt"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
)

// Verdict is what became of an event.
type Verdict string

const (
	// Handled: a run of the handler succeeded, and is marked.
	Handled Verdict = "handled"
	// DeadLettered: the event was given up. Outcome.Letter says why.
	DeadLettered Verdict = "dead-lettered"
)

// Outcome is what became of one event.
type Outcome struct {
	Event   bus.Event
	Verdict Verdict
	// Attempts is the number of the last run. It does not grow with runs that count no attempt.
	Attempts int
	// Runs are the runs of the handler, in their order.
	Runs []HandlerRun
	// Letter is the dead letter; nil if the event was handled.
	Letter *consumer.Letter
	// Took is how long it took from publishing to the end, backoffs included, by the clock of the
	// bubble.
	Took time.Duration
}

// HandlerRun is one run of the handler for an event.
type HandlerRun struct {
	// Attempt is the number of the run, as the handler saw it.
	Attempt int
	// Ended is how it ended: handled, failed, snoozed, deferred or dead.
	Ended consumer.Outcome
	// Err is what the handler returned.
	Err error
	// Began is how long after publishing the run began, Took how long it took, both by the clock of
	// the bubble.
	Began, Took time.Duration
}

// Errors returns what the runs have returned that was not nil, in their order.
func (o *Outcome) Errors() (errs []error) {
	for _, r := range o.Runs {
		if r.Err != nil {
			errs = append(errs, r.Err)
		}
	}
	return errs
}

// readOutcomes returns what became of the events, which were published in this order.
func (w *world) readOutcomes(events []bus.Event) ([]Outcome, error) {
	letters, err := w.readLetters()
	if err != nil {
		return nil, err
	}
	bySequence := make(map[uint64]*consumer.Letter, len(letters))
	for _, l := range letters {
		bySequence[l.At.Sequence] = l
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	outcomes := make([]Outcome, len(events))
	for i := range events {
		sequence := uint64(i) + 1
		seen := w.observations[sequence]
		if len(seen) == 0 {
			return nil, fmt.Errorf("event %q was settled, and nothing was observed of it", events[i].ID)
		}
		outcomes[i] = w.newOutcome(events[i], seen, bySequence[sequence])
	}
	return outcomes, nil
}

func (w *world) newOutcome(e bus.Event, seen []observation, l *consumer.Letter) Outcome {
	o := Outcome{Event: e, Verdict: Handled, Letter: l, Took: seen[len(seen)-1].at.Sub(w.published)}
	if l != nil {
		o.Verdict = DeadLettered
	}
	for i := range seen {
		if s := &seen[i]; s.Attempt > 0 {
			o.Attempts = s.Attempt
			o.Runs = append(o.Runs, HandlerRun{
				Attempt: s.Attempt, Ended: s.Outcome, Err: s.Err, Began: s.at.Add(-s.Took).Sub(w.published), Took: s.Took,
			})
		}
	}
	return o
}
