package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onceish/onceish/cmd/worker/internal/console"
)

// Run measures, and returns what was measured, also beside an error: why it could not go on, or
// could not remove what it has made. ErrBroken, ErrStalled and ErrClock say what is wrong with a
// measurement; that one is not in the result. When ctx ends so does everything that it has started.
// It blocks, and does not retry.
func Run(ctx context.Context, o *Options) (_ Result, err error) {
	if o, err = o.withDefaults(); err != nil {
		return Result{}, err
	}
	stages, left, err := o.stages()
	if err != nil {
		return Result{}, err
	}
	r, err := openRig(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	result := Result{begun: time.Now(), LeftOut: left, Load: Load{
		Events: o.Events, Size: o.Size, Rate: o.Rate, Keys: o.Keys, Duplicates: o.Duplicates, Processes: o.Processes, Concurrency: o.Concurrency,
		Runs: o.Runs, Seed: o.Seed,
	}}
	if result.Environment, err = r.environment(ctx); err != nil {
		return result, err
	}
	stopSampling, err := r.startSampling(ctx, result.begun)
	if err != nil {
		return result, err
	}
	err = r.measureAll(ctx, stages, &result)
	result.usage = stopSampling()
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, r.checkServers(), r.logTail())
	}
	result.Summary = summarize(result.Rows)
	return result, err
}

// measureAll adds a row for each measurement. Of a run, the library and the baseline take turns,
// and in every second run the other one is first.
func (r *rig) measureAll(ctx context.Context, stages []string, result *Result) error {
	number := 0
	for run := 1; run <= r.o.Runs; run++ {
		for _, stage := range stages {
			for _, loop := range r.loops(run) {
				number++
				c := r.newCell(number, run, stage, loop)
				show := newConsole(r.o, c)
				t, err := r.measure(ctx, c, show)
				show.Clear()
				if err != nil {
					return fmt.Errorf("%s, %s, run %d: %w", stage, loop, run, err)
				}
				row, err := newRow(c, t)
				if err != nil {
					return err
				}
				result.Rows = append(result.Rows, row)
			}
		}
	}
	return nil
}

func (r *rig) loops(run int) []string {
	switch {
	case !r.o.Baseline:
		return []string{LoopOnceish}
	case run%2 == 0:
		return []string{LoopOnceish, LoopBaseline}
	}
	return []string{LoopBaseline, LoopOnceish}
}

func (r *rig) newCell(number, run int, stage, loop string) *cell {
	return &cell{
		Bed: r.bed, Number: number, Run: run, Stage: stage, Loop: loop, Events: r.o.Events, WarmUp: r.o.warmUp(), Size: r.o.Size, Rate: r.o.Rate,
		Keys: r.o.Keys, Duplicates: r.o.Duplicates, Concurrency: r.o.Concurrency, Seed: r.o.Seed,
	}
}

func newConsole(o *Options, c *cell) *console.Console {
	s := console.New(console.Options{
		Output: o.Output, Command: "bench", Total: c.total(), Bar: c.Stage + ", " + c.Loop, Done: "events are completed", Live: o.Live,
	})
	s.PrintLine("%s, %s, run %d of %d", c.Stage, c.Loop, c.Run, o.Runs)
	return s
}
