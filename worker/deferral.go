package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/deferral"
	"github.com/onceish/onceish/flow"
	"github.com/onceish/onceish/replay"
	"github.com/onceish/onceish/worker/config"
)

// Deferral is what HandleDeferred is told about the events of a subscription beyond a limit.
type Deferral struct {
	Config deferral.Config
	// Handler makes summaries. Required; deferral.ForEach makes one of a consumer.Handler, Summary
	// another.
	Handler deferral.Handler
	// Options are further ones. Session, and what Subscription has of the worker's, are set by Run.
	Options *deferral.Options
}

// HandleDeferred is Handle for a topic of whose events the first of a key run at once, and the
// others are summed up.
func (w *Worker) HandleDeferred(topic string, h consumer.Handler, o *consumer.Options, d Deferral) {
	w.handlers = append(w.handlers, handlerSpec{topic: topic, handler: h, options: o, defers: &d})
}

// ConfiguredDeferral is what a configuration says of a subscription's deferral, with the handler of
// its summaries; nil: single handles the deferred events one by one.
func (w *Worker) ConfiguredDeferral(ctx context.Context, s *config.Subscription, single, summaries consumer.Handler) (Deferral, error) {
	d := s.Defer
	out := Deferral{
		Config: d.Config(), Handler: deferral.ForEach(single),
		Options: &deferral.Options{Key: d.KeyFunc(), Topic: d.Topic, MaxItems: d.MaxItems, Attempts: d.Attempts},
	}
	if summaries != nil {
		out.Handler = Summary(summaries)
	}
	if !d.Shared {
		return out, nil
	}
	if _, err := w.conns.limitStore(ctx); err != nil {
		return out, fmt.Errorf("the shared limit of %q: %w", d.Topic, err)
	}
	out.Options.Limiter = func(r flow.Rate, maxKeys int) (flow.Limiter, error) {
		return w.SharedLimit(context.WithoutCancel(ctx), limitName(w.group, d.Topic), r, &flow.SharedOptions{OnOutage: d.OnOutage, MaxKeys: maxKeys})
	}
	return out, nil
}

// SummaryType is the type of the event that Summary makes.
const SummaryType = "onceish.summary"

// Summary returns a handler of summaries that calls h once for each, with one event: its data is a
// JSON array of the deferred events, each a CloudEvent, its content type
// application/cloudevents-batch+json, its topic that of the first event, its key that of the
// summary, its type SummaryType. Its ID, and the idempotency key, follow from the events that are
// in it.
func Summary(h consumer.Handler) deferral.Handler {
	return func(ctx context.Context, key string, events []bus.Event) error {
		e, err := summaryEvent(key, events)
		if err != nil {
			return consumer.Permanent(err)
		}
		a := consumer.AttemptFrom(ctx)
		a.IdempotencyKey = e.ID
		return h(consumer.WithAttempt(ctx, a), e)
	}
}

func summaryEvent(key string, events []bus.Event) (e bus.Event, err error) {
	sum := sha256.New()
	data := []byte{'['}
	for i := range events {
		_, _ = fmt.Fprintf(sum, "%q %q\n", events[i].Topic, events[i].Identity()) // a hash takes it
		if data, err = replay.AppendLine(data, bus.Stored{Event: events[i]}); err != nil {
			return e, err
		}
		data[len(data)-1] = ',' // in place of the end of the line
	}
	data[len(data)-1] = ']'
	return bus.Event{
		ID: hex.EncodeToString(sum.Sum(nil)[:16]), Topic: events[0].Topic, Key: key, Type: SummaryType,
		ContentType: "application/cloudevents-batch+json", Data: data, Time: events[len(events)-1].Time,
	}, nil
}

// openTracker returns the tracker of a subscription that defers events, and has it do so.
func (w *Worker) openTracker(ctx context.Context, h *handlerSpec, store dedupe.Store, o *consumer.Options, cut *forcedStop) (*deferral.Tracker, error) {
	options := *cmp.Or(h.defers.Options, &deferral.Options{})
	options.Session, options.Logger = w.member.Load().session, cmp.Or(options.Logger, w.o.Logger)
	options.Observer = w.deferralObservers(h.topic, options.Observer)
	topic := cmp.Or(options.Topic, "deferred."+w.group)
	spec := handlerSpec{topic: topic, options: &consumer.Options{
		Concurrency: o.Concurrency, MaxCrashes: o.MaxCrashes, RunLimit: o.RunLimit, Lease: o.Lease, AckWait: o.AckWait, TTL: o.TTL,
		GiveUp: o.GiveUp, Drain: o.Drain, DeadLetter: o.DeadLetter, Process: o.Process,
	}}
	options.Subscription = w.subscriptionOptions(&spec, cut)
	w.instrumentSubscription(topic, options.Subscription)
	tracker, err := deferral.Open(ctx, w.conns.Bus(), store, w.group, h.defers.Config, h.defers.Handler, &options)
	if err != nil {
		return nil, fmt.Errorf("deferral of %q: %w", h.topic, err)
	}
	err = tracker.Apply(o)
	return tracker, err
}

// startTracker begins to make summaries.
func (w *Worker) startTracker(ctx context.Context, t *deferral.Tracker) (runningSubscription, error) {
	sub, err := t.Start(ctx)
	if err != nil {
		return runningSubscription{}, err
	}
	w.trackers = append(w.trackers, t)
	return runningSubscription{
		bus: w.conns.Bus(), group: w.group, topic: t.Topic(), deadLetter: t.Options().DeadLetter, options: t.Options(),
		partitions: &partitionCounter{}, sub: sub, ended: t.Done(),
	}, nil
}

// trackerActors wait for what makes summaries: their subscriptions are drained with the others.
func (w *Worker) trackerActors() (actors []Actor) {
	for _, t := range w.trackers {
		actors = append(actors, Actor{
			Name: "summaries of " + t.Topic(),
			Run:  func() error { <-t.Done(); return nil },
			Stop: func(error) {},
		})
	}
	return actors
}

// deferralObservers joins those of the worker with one of the options, which is told first.
func (w *Worker) deferralObservers(topic string, first deferral.Observer) deferral.Observer {
	all := joinedDeferralObservers{}
	if first != nil {
		all = append(all, first)
	}
	for _, f := range w.watch {
		if o := f(topic, w.group); o != nil {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

type joinedDeferralObservers []deferral.Observer

// ObserveDeferral implements deferral.Observer.
func (s joinedDeferralObservers) ObserveDeferral(o deferral.Observation) {
	for _, each := range s {
		each.ObserveDeferral(o)
	}
}

// UpdateDeferral changes the deferral of the subscription to a topic while the worker runs. It is
// an error if the worker does not run, or defers nothing of the topic.
func (w *Worker) UpdateDeferral(topic string, c deferral.Config) error {
	trackers := w.running.Load()
	if trackers == nil {
		return errors.New("the worker does not run")
	}
	t := (*trackers)[topic]
	if t == nil {
		return fmt.Errorf("%w: nothing of %q is deferred", ErrUsage, topic)
	}
	return t.Update(c)
}
