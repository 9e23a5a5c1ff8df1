package chaos

import (
	"context"
	"errors"
	"os"

	"github.com/onceish/onceish/cmd/worker/internal/console"
	"github.com/onceish/onceish/cmd/worker/internal/journal"
	"github.com/onceish/onceish/cmd/worker/internal/testbed"
)

// Run publishes events, injects faults, and returns what it has found once everything is settled,
// or does not settle: see Result.Err. An error beside it is why it could not go on, or could not
// clean up, which is ErrLeft. When ctx ends so does everything it has started, and nothing is left.
// It blocks for Options.Duration and the time to settle, and does not retry.
func Run(ctx context.Context, o *Options) (_ Result, err error) {
	c, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	l, err := openLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	r, err := runInLab(ctx, c, l)
	if err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, l.logTail())
		}
		return Result{}, err
	}
	if r.Err() != nil {
		l.keep, r.Artifacts = true, l.dir
	}
	return r, nil
}

func runInLab(ctx context.Context, o *Options, l *lab) (_ Result, err error) {
	slots, err := l.makeSlots(ctx, o)
	if err != nil {
		return Result{}, err
	}
	file, err := os.Open(l.journalName())
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = file.Close() }() // it was only read
	plan := newPlan(o)
	if err := plan.addressTo(o, l); err != nil {
		return Result{}, err
	}
	fleet := newFleet(&testbed.Pool{Command: o.Command, Log: l.log}, slots, o.drainPatience())
	defer fleet.close()
	r := &round{
		o: o, lab: l, plan: plan, fleet: fleet, flights: make(flights), reader: journal.NewReader(file), tally: journal.NewTally(plan.ids),
		cursors: newCursors(l.js, l.targets), still: &standstills{}, disk: &diskWatch{dir: l.dir, least: leastFree}, calls: rollCall{answered: make(map[int]bool)},
		show: console.New(console.Options{
			Output: o.Output, Command: "chaos", Total: len(plan.ids), Bar: "effects", Done: "events have their effect", Live: o.Live,
		}),
	}
	if d := o.deployed; d != nil {
		r.own = newOwnRuns(plan.ids)
		if r.lines, err = openLines(d.Journal, l.bed.Name); err != nil {
			return Result{}, err
		}
		defer func() { err = errors.Join(err, r.lines.close()) }()
	}
	r.injector = &injector{
		fleet: fleet, flights: r.flights, server: l.server, js: l.js, targets: l.targets, schedule: newSchedule(o), patience: o.Lease / 4,
	}
	defer func() { err = errors.Join(err, r.injector.close()) }()
	defer r.show.Clear()
	defer r.watchStandstills(ctx)()
	return r.play(ctx)
}
