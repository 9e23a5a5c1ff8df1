package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/oklog/run"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// RunOptions of Run. The zero value means the defaults.
type RunOptions struct {
	// Consumer; see there. Its Logger is Logger unless it has one.
	Consumer *consumer.Options
	// UntilEmpty ends the run, as ctx does, once the group has settled everything that is on the topic, also what other processes of
	// the group have in hand and what waits for its next attempt.
	UntilEmpty bool
	// Hurry, once closed, cancels the handlers that still run. Nil: they have until the drain time-out.
	Hurry <-chan struct{}
	// Started is called once the group is subscribed. Nil: nobody is told.
	Started func()
	// Actors run beside the subscription, and end the run when they end.
	Actors []Actor
	// Logger; slog.Default().
	Logger *slog.Logger
}

// Actor is something that runs, and how it is told to stop.
type Actor struct {
	// Name for the log.
	Name string
	// Run returns when it has ended by itself or was stopped.
	Run func() error
	// Stop is called once, and does not wait.
	Stop func(error)
}

// Run subscribes the group and blocks until ctx has ended, an actor has, or the bus is closed for good, and the subscription is drained.
//
// Nil is returned after a complete drain. consumer.ErrDrainIncomplete: handlers were cut off by the drain time-out or by
// Hurry, did not return, or succeeded and could not be marked; their events come again. Other errors are why it could not
// subscribe, or what ended first.
func Run(ctx context.Context, b bus.Bus, topic, group string, store dedupe.Store, h consumer.Handler, o *RunOptions) error {
	var opts RunOptions
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	cut := newCut(opts.Hurry)
	defer cut.end()
	tap := &tap{Bus: b}
	sub, err := consumer.SubscribeExactlyOnce(ctx, tap, topic, group, store, h, consumerOptions(&opts, cut))
	if err != nil {
		return err
	}
	if opts.Started != nil {
		opts.Started()
	}
	var g run.Group
	add(&g, opts.Logger, awaiting(ctx))
	runSub, stopSub := sub.Actor()
	add(&g, opts.Logger, Actor{Name: "subscription", Run: runSub, Stop: stopSub})
	if opts.UntilEmpty {
		add(&g, opts.Logger, untilEmpty(tap, sub))
	}
	for _, a := range opts.Actors {
		add(&g, opts.Logger, a)
	}
	err = g.Run()
	s := sub.Stats()
	opts.Logger.Info("drained", "handled", s.Handled, "duplicates", s.Duplicates, "failed", s.Failed, "dead", s.Dead)
	if left := sub.Err(); !errors.Is(err, left) {
		err = errors.Join(ended(err), left)
	}
	return errors.Join(ended(err), cut.err())
}

func consumerOptions(o *RunOptions, c *cut) *consumer.Options {
	var out consumer.Options
	if o.Consumer != nil {
		out = *o.Consumer
	}
	if out.Logger == nil {
		out.Logger = o.Logger
	}
	out.Use = append([]consumer.Middleware{c.middleware}, out.Use...)
	return &out
}

// add logs each actor's own error: a run.Group keeps only the first.
func add(g *run.Group, log *slog.Logger, a Actor) {
	g.Add(func() error {
		err := a.Run()
		if ended(err) != nil {
			log.Error(a.Name+" ended", "error", err)
		}
		return err
	}, a.Stop)
}

// errAsked is why an actor has ended that was asked to.
var errAsked = errors.New("asked to end")

func ended(err error) error {
	if errors.Is(err, errAsked) {
		return nil
	}
	return err
}

// awaiting ends when ctx does.
func awaiting(ctx context.Context) Actor {
	ctx, cancel := context.WithCancel(ctx)
	return Actor{
		Name: "context",
		Run: func() error {
			<-ctx.Done()
			return fmt.Errorf("%w: %w", errAsked, context.Cause(ctx))
		},
		Stop: func(error) { cancel() },
	}
}
