package worker

import (
	"context"
	"errors"
	"log/slog"
)

// Setup adds to a worker what it does: subscriptions, drainers, actors, closers. The connections
// are up. ctx ends when the process is told to end.
type Setup func(ctx context.Context, w *Worker) error

// Serve is Main without a command line: it connects, calls setup, runs the worker until SIGTERM or
// SIGINT, ctx's end, or the end of what it runs, and closes the connections. The first signal lets
// what runs finish, the second (or Options.Hurry) does not. A process that is told to end before it
// ran has not failed.
func Serve(ctx context.Context, group string, co *ConnectOptions, o *Options, setup Setup) error {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	ctx, hurry, release := Signals(ctx, opts.Logger)
	defer release()
	if opts.Hurry == nil {
		opts.Hurry = hurry
	}
	started := false
	tell := opts.Started
	opts.Started = func() {
		started = true
		if tell != nil {
			tell()
		}
	}
	err := serve(ctx, group, co, &opts, setup)
	if err != nil && !started && ctx.Err() != nil {
		opts.Logger.Info("ended before it ran", "error", err)
		return nil
	}
	return err
}

func serve(ctx context.Context, group string, co *ConnectOptions, o *Options, setup Setup) (err error) {
	c, err := Connect(ctx, co)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if c.o.Mongo != "" { // setup may want it; whether there are marks to be kept Run knows
		if _, err := c.openDatabase(ctx); err != nil {
			return err
		}
	}
	w, err := New(group, c, o)
	if err != nil {
		return err
	}
	if err := setup(ctx, w); err != nil {
		return errors.Join(err, w.close(newShutdown(0)))
	}
	return w.Run(ctx)
}
