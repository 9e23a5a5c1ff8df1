package worker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/onceish/onceish/consumer"
)

// Setup adds to a worker what it does: subscriptions, drainers, actors, closers. The connections
// are up. ctx ends when the process is told to end.
type Setup func(ctx context.Context, w *Worker) error

// Serve is Main without a command line: it connects, calls setup, runs the worker until SIGTERM or
// SIGINT, ctx's end, or the end of what it runs, and closes the connections. The first signal lets
// what runs finish, the second (or Options.ForceStop) does not. A process that is told to end
// before it ran has not failed, as in Run.
//
// The service manager that NOTIFY_SOCKET names (systemd, with Type=notify) is told READY=1 once the
// group is subscribed to all topics and STOPPING=1 when the worker begins to drain. Its watchdog is
// pinged while the worker is not Stalled.
func Serve(ctx context.Context, group string, co *ConnectOptions, o *Options, setup Setup) error {
	opts := *cmp.Or(o, &Options{})
	opts.Logger = cmp.Or(opts.Logger, slog.Default())
	ctx, forceStop, release := Signals(ctx, opts.Logger)
	defer release()
	if opts.ForceStop == nil {
		opts.ForceStop = forceStop
	}
	w, err := prepareWorker(ctx, group, co, &opts, setup)
	if err != nil {
		return unlessToldToEnd(ctx, opts.Logger, err)
	}
	return joinDistinct(w.Run(ctx), w.conns.Close())
}

// prepareWorker makes what Run runs. It leaves nothing open if it fails.
func prepareWorker(ctx context.Context, group string, co *ConnectOptions, o *Options, setup Setup) (*Worker, error) {
	c, err := Connect(ctx, co)
	if err != nil {
		return nil, err
	}
	// Setup may want it; whether there are marks to be kept Run knows.
	if _, err := c.OpenDatabase(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	w, err := New(group, c, o)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := w.findManager(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := setup(ctx, w); err != nil {
		return nil, errors.Join(err, w.closeDeferred(newShutdownClock(0)), c.Close())
	}
	return w, nil
}

// unlessToldToEnd forgives a start that failed when the worker had been told to end, but not what
// was cut off by that.
func unlessToldToEnd(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() == nil || errors.Is(err, consumer.ErrDrainIncomplete) {
		return err
	}
	log.Info("ended before it ran", "error", err)
	return nil
}
