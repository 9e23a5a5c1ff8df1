package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/deadletter"
)

// ownLetters are the dead letters of the events that were published.
type ownLetters map[string][]consumer.Letter

// readOwnLetters reads the dead-letter topics of the targets.
func (r *round) readOwnLetters(ctx context.Context) (ownLetters, error) {
	letters := make(ownLetters)
	var read []string
	for i := range r.lab.targets {
		name := r.lab.targets[i].deadLetter
		if slices.Contains(read, name) {
			continue
		}
		read = append(read, name)
		topic, err := r.lab.connections.DeadLetters(r.lab.group, name)
		if err != nil {
			return nil, err
		}
		for l, err := range topic.List(ctx, deadletter.Filter{Group: r.lab.group}, bus.Position{}) {
			if errors.Is(err, consumer.ErrLetterPart) || errors.Is(err, consumer.ErrNotLetter) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read the dead letters: %w", err)
			}
			if strings.HasPrefix(l.Event.ID, r.lab.bed.Name+"-") {
				letters[l.Event.ID] = append(letters[l.Event.ID], l.Letter)
			}
		}
	}
	return letters, nil
}

// judgeOwnLetters finds what has no effect, and letters that nothing explains. That a handler
// failed is its own affair.
func (r *round) judgeOwnLetters(letters ownLetters) {
	var lost, silent, several, groundless, crashed []string
	for _, id := range r.plan.ids {
		switch of := letters[id]; {
		case len(of) > 1:
			several = append(several, id)
		case len(of) == 1 && of[0].Crashes > r.countCrashCauses(id, of[0].Died):
			crashed = append(crashed, id)
		case len(of) == 1 && !r.own.isUnsuccessful(id):
			groundless = append(groundless, id)
		case len(of) == 0 && r.own.effects[id] == 0 && !r.tally.IsDone(id):
			if r.own.marked[id] {
				silent = append(silent, id)
			} else {
				lost = append(lost, id)
			}
		}
	}
	if !r.stalled { // else they may still come
		r.addViolation(ViolationLost, lost, "%d %s without an effect")
	}
	r.addViolation(ViolationLost, silent, "%d %s without an effect, though the handler reported success: did it wait for the effect?")
	r.addViolation(ViolationDead, several, "%d %s dead-lettered more than once")
	r.addViolation(ViolationDead, crashed, "%d %s dead-lettered for more crashes than there were kills, and faults in which a claim may be lost")
	r.addViolation(ViolationDead, groundless, "%d %s dead-lettered, though no run failed or was cut short")
}

// countCrashCauses counts what may have ended a claim of the event by its lease alone, as long as
// it lived.
func (r *round) countCrashCauses(id string, died time.Time) (n int) {
	runs := r.own.runs[id]
	if len(runs) == 0 {
		return 0
	}
	from := runs[0].begun.Add(-r.o.Lease)
	to := died.Add(r.o.Lease)
	for _, k := range r.fleet.kills {
		if !k.Gone.Before(from) && !k.Sent.After(to) {
			n++
		}
	}
	for _, i := range r.injector.injections {
		if i.hampersClaims(r.o) && i.overlaps(from, to, r.o.Lease) {
			n++
		}
	}
	return n + r.still.count(from, to)
}
