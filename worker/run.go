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
	"github.com/onceish/onceish/deferral"
)

// Run subscribes the group to its topics and blocks until ctx has ended, a subscription or an actor
// has, and everything is drained and closed. It is called once.
//
// It ends within the drain time-out and another 5 s, counted from the moment when it begins to
// drain, whatever hangs: a server, a handler, an actor. What has not ended by then is left behind,
// and goes with the process.
//
// Nil is returned after a complete drain, and when ctx ended before all was subscribed.
// consumer.ErrDrainIncomplete: handlers were cut off by the drain time-out or by ForceStop, did not
// return, or succeeded and could not be marked; their events are redelivered. Other errors are why
// it could not subscribe, what ended first, and what could not be closed.
func (w *Worker) Run(ctx context.Context) (err error) {
	end := newShutdownClock(w.longestDrain())
	defer func() {
		err = joinDistinct(err, w.closeDeferred(end))
		w.conns.end.Store(end)
	}()
	if err := w.checkSetup(); err != nil {
		return err
	}
	cut := newForcedStop(w.o.ForceStop, end)
	defer cut.release()
	member, err := w.joinGroup(ctx)
	if err != nil {
		return unlessToldToEnd(ctx, w.o.Logger, err)
	}
	w.member.Store(member)
	subs, err := w.subscribeAll(ctx, cut)
	if err != nil {
		return unlessToldToEnd(ctx, w.o.Logger, errors.Join(err, cut.cutOffError(), member.leave(ctx)))
	}
	member.start(ctx, subs, w.drainers)
	for _, h := range w.handlers {
		place := []any{"topic", h.topic, "group", w.group, "bus", w.conns.BusName(), "store", w.conns.StoreName()}
		if w.conns.nats != nil {
			place = append(place, "consumer", natsbus.ConsumerName(w.group, h.firstPart()))
		}
		if order := h.order(); order != consumer.ByKey {
			place = append(place, "order", order.String())
		}
		w.o.Logger.Info("running", place...)
	}
	for _, d := range w.drainers {
		w.o.Logger.Info("publishing from an outbox", "outbox", d.outboxName(), "bus", w.conns.BusName())
	}
	if w.o.Started != nil {
		w.o.Started()
	}
	err = unlessAsked(end.runGroup(w.newRunGroup(ctx, cut, subs, end), w.drainers))
	for _, s := range subs {
		n := s.sub.Stats()
		w.o.Logger.Info("drained", "topic", s.topic, "handled", n.Handled, "duplicates", n.Duplicates, "failed", n.Failed, "deferred", n.Deferred, "dead", n.Dead,
			"skipped", n.Skipped, "dropped", n.Dropped, "lost", n.Lost)
		err = joinDistinct(err, s.sub.Err())
	}
	for _, d := range w.drainers {
		w.logOutboxStats(d)
	}
	if err = errors.Join(err, cut.cutOffError()); err == nil && w.o.UntilEmpty {
		err = undoneError(subs, w.drainers)
	}
	return err
}

// checkSetup refuses what would go wrong in silence.
func (w *Worker) checkSetup() error {
	if len(w.handlers) == 0 && len(w.drainers) == 0 && len(w.actors) == 0 {
		return fmt.Errorf("%w: group %q has nothing to do: call Handle, AddDrainer or Add", ErrUsage, w.group)
	}
	for i, a := range w.handlers {
		for _, b := range w.handlers[:i] {
			if a.overlaps(&b) || b.overlaps(&a) {
				return fmt.Errorf("%w: group %q is subscribed to %q and to %q, and handles an event once: an event on both would reach only one "+
					"of the handlers. Choose topics that do not overlap, or use another group", ErrUsage, w.group, b.topic, a.topic)
			}
		}
	}
	return nil
}

// overlaps reports whether the other subscription takes some of the events of this one, or of its
// partitions.
func (h *handlerSpec) overlaps(other *handlerSpec) bool {
	return bus.Overlap(h.topic, other.topic) || h.order().NumPartitions() > 0 && bus.Overlap(h.topic+".>", other.topic)
}

// firstPart is the topic, or the first of its partitions.
func (h *handlerSpec) firstPart() string {
	return bus.Partition{Topic: h.topic, Of: h.order().NumPartitions()}.Name()
}

// runningSubscription is a subscription that runs.
type runningSubscription struct {
	bus        bus.Bus
	group      string
	topic      string
	deadLetter string
	options    *consumer.Options
	partitions *partitionCounter
	sub        *consumer.Subscription
	ended      <-chan struct{} // closed when sub is done, and what makes its summaries
}

// subscribeAll leaves nothing running if it fails.
func (w *Worker) subscribeAll(ctx context.Context, c *forcedStop) (subs []runningSubscription, err error) {
	var store dedupe.Store
	w.conns.addTopics(w.group, w.handlers)
	if len(w.handlers) > 0 {
		if store, err = w.conns.Store(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.conns.provisionPartitions(ctx, w.handlers); err != nil {
		return nil, err
	}
	trackers := make(map[string]*deferral.Tracker)
	for _, h := range w.handlers {
		added, tracker, err := w.subscribeHandler(ctx, &h, store, c)
		subs = append(subs, added...)
		if err != nil {
			c.end.startClock()
			return nil, errors.Join(err, drainAll(ctx, subs))
		}
		if tracker != nil {
			trackers[h.topic] = tracker
		}
	}
	w.running.Store(&trackers)
	w.reportMarkRoom(ctx, store, subs)
	return subs, nil
}

// subscribeHandler subscribes to the topic of a handler, and before it, so that it ends later, to
// that of what it defers. It returns what runs also beside an error.
func (w *Worker) subscribeHandler(ctx context.Context, h *handlerSpec, store dedupe.Store, c *forcedStop) (subs []runningSubscription, tracker *deferral.Tracker, err error) {
	o, err := w.subscriptionOptions(h, c).WithDefaults(w.group)
	if err != nil {
		return nil, nil, err
	}
	if h.defers != nil {
		if tracker, err = w.openTracker(ctx, h, store, o, c); err != nil {
			return nil, nil, err
		}
		summaries, err := w.startTracker(ctx, tracker)
		if err != nil {
			return nil, nil, err
		}
		subs = append(subs, summaries)
	}
	s, err := w.subscribe(ctx, h, store, o)
	if err != nil {
		return subs, nil, err
	}
	return append(subs, s), tracker, nil
}

func (w *Worker) subscribe(ctx context.Context, h *handlerSpec, store dedupe.Store, o *consumer.Options) (s runningSubscription, err error) {
	s = runningSubscription{
		bus: w.conns.Bus(), group: w.group, topic: h.topic, deadLetter: o.DeadLetter, options: o, partitions: &partitionCounter{},
	}
	s.partitions.countBeside(o)
	w.instrumentSubscription(h.topic, o)
	s.sub, err = consumer.SubscribeExactlyOnce(ctx, s.bus, h.topic, w.group, store, h.handler, o)
	if err == nil {
		s.ended = s.sub.Done()
	}
	return s, err
}

func drainAll(ctx context.Context, subs []runningSubscription) error {
	errs := make([]error, 0, len(subs))
	for _, s := range subs {
		errs = append(errs, s.sub.Drain(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

func (w *Worker) subscriptionOptions(h *handlerSpec, c *forcedStop) *consumer.Options {
	out := *cmp.Or(h.options, &consumer.Options{})
	for _, observe := range w.observe {
		out.Observer = consumer.Observers(out.Observer, observe(h.topic, w.group))
	}
	out.Logger, out.Drain = cmp.Or(out.Logger, w.o.Logger), cmp.Or(out.Drain, w.o.Drain)
	out.Use = append([]consumer.Middleware{c.cancelOnStop}, out.Use...)
	out.Session = cmp.Or(out.Session, w.member.Load().session)
	w.member.Load().guard(&out)
	return &out
}

// newRunGroup is all that runs.
func (w *Worker) newRunGroup(ctx context.Context, c *forcedStop, subs []runningSubscription, end *shutdownClock) *run.Group {
	actors := []Actor{end.clockActor(), awaitContext(ctx, c.ctx)}
	for _, s := range subs {
		a := Actor{Name: "subscription to " + s.topic}
		a.Run, a.Stop = s.sub.Actor()
		actors = append(actors, a)
	}
	if w.o.UntilEmpty {
		actors = append(actors, untilEmptyActor(&standstillDetector{bus: w.conns.Bus(), subs: subs, drainers: w.drainers})) //nolint:contextcheck // it ends with the group
	}
	for _, d := range w.drainers {
		actors = append(actors, d.drainerActors(subs)...) //nolint:contextcheck // they end with the group
	}
	actors = append(actors, w.member.Load().actor(subs, end.drain)) //nolint:contextcheck // it ends with the group
	actors = append(actors, w.trackerActors()...)
	actors = append(actors, w.managerActors()...)
	g := &run.Group{}
	for _, a := range append(actors, w.actors...) {
		addActor(g, w.o.Logger, end.trackActor(a))
	}
	return g
}

// longestDrain is the longest drain time-out of the subscriptions, or the worker's own if there are
// none.
func (w *Worker) longestDrain() (longest time.Duration) {
	for _, h := range w.handlers {
		drain := w.o.Drain
		if h.options != nil {
			drain = cmp.Or(h.options.Drain, drain)
		}
		longest = max(longest, cmp.Or(drain, defaultDrain))
	}
	return cmp.Or(longest, w.o.Drain, defaultDrain)
}

// closeDeferred closes what was deferred, the last first.
func (w *Worker) closeDeferred(end *shutdownClock) error {
	ctx, cancel := end.closeContext(time.Second / 4)
	defer cancel()
	var err error
	for _, c := range slices.Backward(w.closers) {
		err = joinDistinct(err, closeWithin(ctx, "what was deferred", c))
	}
	w.closers = nil
	return err
}

// joinDistinct adds an error that is not among the first already: what has ended a worker is often
// what cannot be closed.
func joinDistinct(err, more error) error {
	switch {
	case err == nil:
		return more
	case more == nil, errors.Is(err, more):
		return err
	}
	return errors.Join(err, more)
}

// addActor logs each actor's own error: a run.Group keeps only the first.
func addActor(g *run.Group, log *slog.Logger, a Actor) {
	g.Add(func() error {
		err := a.Run()
		if unlessAsked(err) != nil {
			log.Error(a.Name+" ended", "error", err)
		}
		return err
	}, a.Stop)
}

// errAsked is why an actor has ended that was asked to.
var errAsked = errors.New("asked to end")

func unlessAsked(err error) error {
	if errors.Is(err, errAsked) {
		return nil
	}
	return err
}

// awaitContext ends when ctx or forceStop does.
func awaitContext(ctx, forceStop context.Context) Actor {
	ctx, cancel := context.WithCancel(ctx)
	return Actor{
		Name: "context",
		Run: func() error {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", errAsked, context.Cause(ctx))
			case <-forceStop.Done():
				return fmt.Errorf("%w: %w", errAsked, context.Cause(forceStop))
			}
		},
		Stop: func(error) { cancel() },
	}
}
