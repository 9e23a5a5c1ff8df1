package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// look is how often the journal is read.
const look = 2 * time.Millisecond

// demoRun is where the workers are watched. It is for one goroutine.
type demoRun struct {
	assignment *workerAssignment
	plan       *demoPlan
	processes  *testbed.Pool
	producer   *eventProducer
	reader     *journal.Reader
	tally      *journal.Tally
	cursor     *testbed.GroupCursor
	show       *console.Console
	// documents have the effects; nil: the journal has.
	documents *effectDocuments
	random    *rand.Rand // chooses who is killed
	patience  time.Duration

	released int       // portions
	moved    time.Time // when the journal grew
}

// runToEnd plays until everything is settled.
func (t *demoRun) runToEnd(ctx context.Context) (Result, error) {
	begun := time.Now()
	t.moved = begun
	t.stopAll()
	err := t.watchUntilSettled(ctx)
	took := time.Since(begun)
	if err != nil && !errors.Is(err, ErrStalled) {
		return Result{}, err
	}
	if err == nil {
		err = t.processes.Drain(ctx)
	}
	t.processes.KillAll() // those that have stalled
	stored := t.producer.stopAndCount()
	_, read := t.readJournal()
	_, asked := t.cursor.Refresh(ctx)
	r := newResult(t.plan, t.tally, t.processes.Kills, stored, t.cursor.Delivered, took)
	counted := t.countDocuments(ctx, &r)
	return r, errors.Join(err, read, asked, counted)
}

// countDocuments has the documents tell what the effects are, if there are any.
func (t *demoRun) countDocuments(ctx context.Context, r *Result) error {
	if t.documents == nil {
		return nil
	}
	effects, err := t.documents.countEffects(ctx)
	if err == nil {
		r.recountDocuments(t.plan.ids, effects)
	}
	return err
}

// stopAll has the next portion published.
func (t *demoRun) stopAll() {
	t.producer.addIDs(t.plan.portions[t.released].messages)
	t.released++
}

func (t *demoRun) watchUntilSettled(ctx context.Context) error {
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		settled, err := t.advanceRun(ctx)
		if err != nil || settled {
			return err
		}
	}
}

// advanceRun looks at everything once, and kills whose time has come.
func (t *demoRun) advanceRun(ctx context.Context) (settled bool, err error) {
	stored, idle, err := t.producer.currentState()
	if err := errors.Join(err, t.processes.CheckAlive()); err != nil {
		return false, err
	}
	idle = idle && t.cursor.IsEmpty(ctx, stored)
	working, err := t.readJournal() // after the cursor: what is settled is in the journal
	if err != nil {
		return false, err
	}
	if t.cursor.Paused {
		t.moved = time.Now() // it was asked to stand still
	}
	last := t.released == len(t.plan.portions)
	due := !last && t.tally.Done >= t.plan.portions[t.released-1].kill
	switch victims := t.processes.WithPIDs(working); {
	case due && len(victims) > 0:
		return false, t.killOne(victims)
	case idle && !last: // it came to the end before anybody looked
		return false, t.killOne(t.processes.Processes())
	case idle:
		return true, nil
	case time.Since(t.moved) > t.patience:
		return false, t.stalledError()
	}
	return false, nil
}

// readJournal returns which processes have made effects since the last time.
func (t *demoRun) readJournal() (working map[int]bool, err error) {
	rs, err := t.reader.ReadNew()
	if len(rs) > 0 {
		t.moved = time.Now()
	}
	t.tally.Add(rs)
	t.show.ShowProgress(t.tally.Done)
	working = make(map[int]bool)
	for _, r := range rs {
		if r.What == journal.Effect || r.What == journal.Found {
			working[r.PID] = true
		}
	}
	return working, err
}

// killOne kills one of the processes and replaces it, with more work for all.
func (t *demoRun) killOne(victims []*testbed.Process) error {
	t.stopAll()
	victim := victims[t.random.IntN(len(victims))]
	successor, err := t.processes.Replace(victim, t.assignment)
	if err != nil {
		return err
	}
	t.show.PrintLine("killed worker process %d after %s effects of all; %d takes its place", victim.PID(), console.GroupDigits(t.tally.Effects), successor.PID())
	return nil
}

func (t *demoRun) stalledError() error {
	missing := ""
	if names := t.tally.Missing(t.plan.ids, 10); len(names) > 0 {
		missing = fmt.Sprintf(": %d of %d events have no effect, such as %s", len(t.plan.ids)-t.tally.Done, len(t.plan.ids), strings.Join(names, ", "))
	}
	return fmt.Errorf("%w: nothing has happened for %v; %s%s", ErrStalled, t.patience, t.cursor, missing)
}
