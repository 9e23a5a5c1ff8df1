package consumertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onceish/onceish/consumer"
)

// awaitSettled starts another process whenever one is halted, and lets a frozen one go on once all
// is settled.
func (w *world) awaitSettled() error {
	limit := time.NewTimer(w.limit)
	defer limit.Stop()
	for {
		w.ticks.Add(1)
		quiet := time.NewTimer(2 * (w.options.Lease + w.options.AckWait)) // what is unsettled is redelivered within
		select {
		case <-w.halted:
			if err := w.startProcess(); err != nil {
				return err
			}
		case <-w.answered:
		case <-limit.C:
			return w.unsettledError()
		case <-quiet.C:
			if settled, err := w.isSettled(); err != nil {
				return err
			} else if settled && !w.thaw() && len(w.halted) == 0 {
				return nil
			}
		}
		quiet.Stop()
	}
}

// isSettled reports whether the bus has an answer to each delivery, and no handler runs in a
// process that is not halted.
func (w *world) isSettled() (bool, error) {
	info, err := w.source.Info(context.Background())
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.runs {
		if !r.process.isHalted() {
			return false, nil
		}
	}
	return info.Pending == 0 && info.Unsettled == 0, nil
}

// shutDown ends every process, and waits for their handlers.
func (w *world) shutDown() error {
	w.thaw()
	close(w.released)
	for _, p := range w.processes {
		if p.subscription != nil {
			_ = p.subscription.Drain(context.Background()) // what a dead one leaves behind is its due
		}
	}
	limit := time.NewTimer(w.limit)
	defer limit.Stop()
	for {
		if len(w.runningHandlers()) == 0 {
			return nil
		}
		select {
		case <-w.answered:
		case <-limit.C:
			return fmt.Errorf("the handler does not return although its process has ended: %s: have it end with its context, and return errors of its calls",
				strings.Join(w.runningHandlers(), ", "))
		}
	}
}

// unsettledError says what became of the events that are not settled.
func (w *world) unsettledError() error {
	var open []string
	w.mu.Lock()
	for sequence, label := range w.labels {
		text := label + ": it was never run"
		if seen := w.observations[sequence]; len(seen) > 0 {
			last := seen[len(seen)-1]
			if last.Outcome == consumer.OutcomeHandled || last.Outcome == consumer.OutcomeDead || last.Outcome == consumer.OutcomeDuplicate {
				continue
			}
			text = fmt.Sprintf("%s: run %d %s: %v", label, last.Attempt, last.Outcome, last.Err)
		}
		open = append(open, text)
	}
	w.mu.Unlock()
	slices.Sort(open)
	err := fmt.Errorf("after %v of the bubble's time, events are not settled (%s)", w.limit, strings.Join(open, "; "))
	if running := w.runningHandlers(); len(running) > 0 {
		err = fmt.Errorf("%w; handlers still run: %s", err, strings.Join(running, ", "))
	}
	return fmt.Errorf("%w: have the handler end, or raise Kit.Limit if it has to wait for so long", err)
}

func (w *world) runningHandlers() (running []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.runs {
		running = append(running, fmt.Sprintf("%s, attempt %d, since %v", r.event, r.attempt, time.Since(r.began)))
	}
	slices.Sort(running)
	return running
}
