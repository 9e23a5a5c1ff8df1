package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/oklog/run"

	"github.com/onceish/onceish/bus"
	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
)

// Run subscribes the group to its topics and blocks until ctx has ended, a subscription or an actor
// has, and everything is drained and closed. It is called once.
//
// It ends within the drain time-out and another 5 s, counted from the moment when it begins to
// drain, whatever hangs: a server, a handler, an actor. What has not ended by then is left behind,
// and goes with the process.
//
// Nil is returned after a complete drain, and when ctx ended before all was subscribed.
// consumer.ErrDrainIncomplete: handlers were cut off by the drain time-out or by Hurry, did not
// return, or succeeded and could not be marked; their events come again. Other errors are why it
// could not subscribe, what ended first, and what could not be closed.
func (w *Worker) Run(ctx context.Context) (err error) {
	end := newShutdown(w.longestDrain())
	defer func() {
		err = join(err, w.close(end))
		w.c.end.Store(end)
	}()
	if err := w.check(); err != nil {
		return err
	}
	cut := newCut(w.o.Hurry)
	defer cut.end()
	subs, err := w.subscribe(ctx, cut)
	if err != nil {
		return unlessTold(ctx, w.o.Logger, errors.Join(err, cut.err()))
	}
	for _, h := range w.handled {
		place := []any{"topic", h.topic, "group", w.group, "bus", w.c.BusName(), "store", w.c.StoreName()}
		if w.c.nats != nil {
			place = append(place, "consumer", natsbus.ConsumerName(w.group, h.topic))
		}
		w.o.Logger.Info("running", place...)
	}
	for _, d := range w.drainers {
		w.o.Logger.Info("publishing from an outbox", "outbox", d.name(), "bus", w.c.BusName())
	}
	if w.o.Started != nil {
		w.o.Started()
	}
	err = ended(end.wait(w.running(ctx, cut, subs, end), w.drainers))
	for _, s := range subs {
		n := s.sub.Stats()
		w.o.Logger.Info("drained", "topic", s.topic, "handled", n.Handled, "duplicates", n.Duplicates, "failed", n.Failed, "deferred", n.Deferred, "dead", n.Dead,
			"skipped", n.Skipped, "dropped", n.Dropped, "lost", n.Lost)
		err = join(err, s.sub.Err())
	}
	for _, d := range w.drainers {
		w.left(d)
	}
	if err = errors.Join(err, cut.err()); err == nil && w.o.UntilEmpty {
		err = undone(subs, w.drainers)
	}
	return err
}

// check refuses what would go wrong in silence.
func (w *Worker) check() error {
	if len(w.handled) == 0 && len(w.drainers) == 0 && len(w.actors) == 0 {
		return fmt.Errorf("%w: group %q has nothing to do: call Handle, AddDrainer or Add", ErrUsage, w.group)
	}
	for i, a := range w.handled {
		for _, b := range w.handled[:i] {
			if bus.Overlap(a.topic, b.topic) {
				return fmt.Errorf("%w: group %q is subscribed to %q and to %q, and handles an event once: an event on both would reach only one "+
					"of the handlers. Choose topics that do not overlap, or use another group", ErrUsage, w.group, b.topic, a.topic)
			}
		}
	}
	return nil
}

// subscribed is a subscription that runs.
type subscribed struct {
	topic      string
	deadLetter string
	sub        *consumer.Subscription
}

// subscribe leaves nothing running if it fails.
func (w *Worker) subscribe(ctx context.Context, c *cut) (subs []subscribed, err error) {
	var store dedupe.Store
	for _, h := range w.handled {
		w.c.topics = append(w.c.topics, h.topic)
	}
	if len(w.handled) > 0 {
		if store, err = w.c.Store(ctx); err != nil {
			return nil, err
		}
	}
	for _, h := range w.handled {
		o, err := w.options(h.options, c).WithDefaults(w.group)
		if err != nil {
			return nil, errors.Join(err, drainAll(ctx, subs))
		}
		sub, err := consumer.SubscribeExactlyOnce(ctx, w.c.Bus(), h.topic, w.group, store, h.handler, o)
		if err != nil {
			return nil, errors.Join(err, drainAll(ctx, subs))
		}
		subs = append(subs, subscribed{topic: h.topic, deadLetter: o.DeadLetter, sub: sub})
	}
	return subs, nil
}

func drainAll(ctx context.Context, subs []subscribed) error {
	errs := make([]error, 0, len(subs))
	for _, s := range subs {
		errs = append(errs, s.sub.Drain(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

func (w *Worker) options(o *consumer.Options, c *cut) *consumer.Options {
	var out consumer.Options
	if o != nil {
		out = *o
	}
	if out.Logger == nil {
		out.Logger = w.o.Logger
	}
	if out.Drain == 0 {
		out.Drain = w.o.Drain
	}
	out.Use = append([]consumer.Middleware{c.middleware}, out.Use...)
	return &out
}

// running is all that runs.
func (w *Worker) running(ctx context.Context, c *cut, subs []subscribed, end *shutdown) *run.Group {
	actors := []Actor{end.actor(), awaiting(ctx, c.ctx)}
	for _, s := range subs {
		a := Actor{Name: "subscription to " + s.topic}
		a.Run, a.Stop = s.sub.Actor()
		actors = append(actors, a)
	}
	if w.o.UntilEmpty {
		actors = append(actors, untilEmpty(&standstill{bus: w.c.Bus(), subs: subs, drainers: w.drainers})) //nolint:contextcheck // it ends with the group
	}
	for _, d := range w.drainers {
		actors = append(actors, d.actors(subs)...) //nolint:contextcheck // they end with the group
	}
	g := &run.Group{}
	for _, a := range append(actors, w.actors...) {
		add(g, w.o.Logger, end.track(a))
	}
	return g
}

// longestDrain is the longest drain time-out of the subscriptions, or the worker's own if there are
// none.
func (w *Worker) longestDrain() (longest time.Duration) {
	for _, h := range w.handled {
		drain := w.o.Drain
		if h.options != nil {
			drain = cmp.Or(h.options.Drain, drain)
		}
		longest = max(longest, cmp.Or(drain, defaultDrain))
	}
	return cmp.Or(longest, w.o.Drain, defaultDrain)
}

// close closes what was deferred, the last first.
func (w *Worker) close(end *shutdown) error {
	ctx, cancel := end.closing(time.Second / 4)
	defer cancel()
	var err error
	for _, c := range slices.Backward(w.closers) {
		err = join(err, closeWithin(ctx, "what was deferred", c))
	}
	w.closers = nil
	return err
}

// join adds an error that is not among the first already: what has ended a worker is often what
// cannot be closed.
func join(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil, errors.Is(err, more):
		return err
	}
	return errors.Join(err, more)
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

// awaiting ends when ctx or hurry does.
func awaiting(ctx, hurry context.Context) Actor {
	ctx, cancel := context.WithCancel(ctx)
	return Actor{
		Name: "context",
		Run: func() error {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", errAsked, context.Cause(ctx))
			case <-hurry.Done():
				return fmt.Errorf("%w: %w", errAsked, context.Cause(hurry))
			}
		},
		Stop: func(error) { cancel() },
	}
}
