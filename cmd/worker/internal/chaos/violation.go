package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/worker"
)

// Kinds of violations.
const (
	ViolationLost     = "lost"     // an event has no effect, and is not dead-lettered
	ViolationRepeated = "repeated" // an effect was repeated, or a run began after the mark, and nothing explains it
	ViolationDead     = "dead"     // an event was dead-lettered though nobody meant it, or not once though somebody did
	ViolationOrder    = "order"    // events of a key began out of order in a process, or were in a group that has an order over all
	ViolationStalled  = "stalled"  // the group did not settle
	ViolationEnded    = "ended"    // a process has ended by itself, or did not drain
	ViolationIdle     = "idle"     // a process begins nothing any more
)

// Violation is a promise that was broken.
type Violation struct {
	// Kind is one of the constants.
	Kind string `json:"kind"`
	// Text says what is wrong.
	Text string `json:"text"`
	// Events are the events that it is about.
	Events []string `json:"events,omitempty"`
}

// maxStories is how many events have their story told.
const maxStories = 5

// addViolation adds one about events, if there are any.
func (r *round) addViolation(kind string, ids []string, format string) {
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	r.violations = append(r.violations, Violation{Kind: kind, Text: fmt.Sprintf(format, len(ids), pluralNoun(len(ids), "event")), Events: ids})
}

// judge compares what has happened with what was promised.
func (r *round) judge(ctx context.Context, settling time.Duration) (Result, error) {
	for _, i := range r.injector.injections {
		i.summarize(r.begun)
	}
	if r.own != nil {
		return r.judgeDeployed(ctx, settling)
	}
	letters, err := r.countLetters(ctx)
	if err != nil {
		return Result{}, err
	}
	repeats := r.tally.ExplainRepeats(journal.Causes{Kills: r.fleet.kills, Concurrency: concurrency, ExplainsLoss: r.explainsLoss})
	r.addViolation(ViolationRepeated, repeats.IDs, "%d %s repeated, and nothing explains it")
	r.addViolation(ViolationRepeated, repeats.Reruns, "%d %s began again though marked as done or dead, and nothing explains it")
	r.judgeLetters(letters)
	spans, stored, err := r.readSpans(ctx)
	if err != nil {
		return Result{}, err
	}
	r.judgeOrder(spans)
	out := r.newResult(&repeats, letters, settling)
	out.Published = stored
	out.Stories = r.tellStories(ctx)
	return out, nil
}

// judgeLetters finds what has no effect, and what was given up without or against its handler's
// will.
func (r *round) judgeLetters(letters map[string]int) {
	var lost, unmeant, missing, several []string
	for _, id := range r.plan.ids {
		n, meant := letters[id], isPermanent(r.o.Seed, id)
		switch {
		case n > 1:
			several = append(several, id)
		case n == 1 && !meant:
			unmeant = append(unmeant, id)
		case n == 0 && meant:
			missing = append(missing, id)
		case n == 0 && !r.tally.IsDone(id):
			lost = append(lost, id)
		}
	}
	if !r.stalled { // else they may still come
		r.addViolation(ViolationLost, lost, "%d %s without an effect")
		r.addViolation(ViolationLost, missing, "%d %s failed for good, and have no dead letter")
	}
	r.addViolation(ViolationDead, unmeant, "%d %s dead-lettered, though the handler did not mean it")
	r.addViolation(ViolationDead, several, "%d %s dead-lettered more than once")
}

// countLetters counts the dead letters of each event, as they are in the stream.
func (r *round) countLetters(ctx context.Context) (map[string]int, error) {
	topic, err := r.lab.connections.DeadLetters(r.lab.bed.Name, r.lab.bed.DeadLetters())
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for l, err := range topic.List(ctx, deadletter.Filter{}, bus.Position{}) {
		if errors.Is(err, consumer.ErrLetterPart) || errors.Is(err, consumer.ErrNotLetter) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the dead letters: %w", err)
		}
		counts[l.Event.ID]++
	}
	return counts, nil
}

// explainsLoss reports whether a fault, or a standstill of the machine, explains that a process
// lost a claim. The claim may be a lease older than its run.
func (r *round) explainsLoss(l journal.Loss) bool {
	from := l.From.Add(-r.o.Lease)
	slot, known := r.fleet.slotOf[l.PID]
	for _, i := range r.injector.injections {
		if known && i.hits(slot) && i.hampersClaims(r.o) && i.overlaps(from, l.At, r.o.Lease) {
			return true
		}
	}
	return r.still.hit(l.PID, from, l.At)
}

// tellStories tells what the first events of each violation went through.
func (r *round) tellStories(ctx context.Context) (stories []string) {
	for i := range r.violations {
		for _, id := range r.violations[i].Events[:min(len(r.violations[i].Events), maxStories)] {
			if len(stories) < 2*maxStories {
				stories = append(stories, r.tellStory(ctx, id))
			}
		}
	}
	return stories
}

func (r *round) tellStory(ctx context.Context, id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, seconds since the first event:\n", id)
	var first, last time.Time
	for _, record := range r.records {
		if record.ID != id {
			continue
		}
		if first.IsZero() {
			first = record.At
		}
		last = record.At
		who := fmt.Sprintf("worker %d (process %d)", r.fleet.slotOf[record.PID]+1, record.PID)
		if record.PID == 0 {
			who = "line of its handler"
		}
		fmt.Fprintf(&b, "  %8.3f  %s  %s\n", record.At.Sub(r.begun).Seconds(), who, record.What)
	}
	for _, i := range r.injector.injections {
		if i.overlaps(first.Add(-2*r.o.Lease), last.Add(2*r.o.Lease), 0) {
			fmt.Fprintf(&b, "  %8.3f to %.3f  fault: %s\n", i.Began, i.Ended, i.Text)
		}
	}
	if err := r.explainEvent(ctx, &b, id); err != nil {
		fmt.Fprintf(&b, "what became of it cannot be looked up: %v\n", err)
	}
	return b.String()
}

// explainEvent writes what bus and store know.
func (r *round) explainEvent(ctx context.Context, b *strings.Builder, id string) error {
	t := r.targetOf(id)
	sources, err := r.lab.connections.Explain(ctx, r.lab.group, &worker.ExplainOptions{DeadLetter: t.deadLetter})
	if err != nil {
		return err
	}
	story, err := sources.Story(ctx, explain.Query{Topic: t.topic, ID: id})
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := r.o.PrintStory(&text, story); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		b.WriteString("  " + line)
	}
	return nil
}
