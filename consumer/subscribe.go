package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// SubscribeExactlyOnce starts a subscription that runs h so that each event on topic takes effect
// once per group. It returns when the subscription is running. The topic may be a pattern
// ("order.*"). When ctx ends, the subscription drains; handlers get the values of ctx, not its
// cancellation.
//
// The bus and the store stay the caller's: close them after Subscription.Done. A store without
// dedupe.Claimer needs Options.Mode SeenMark; mode Transactional needs one with dedupe.Transactor,
// and a server that passes its probe.
//
// SubscribeExactlyOnce refuses what could lose or repeat events: options out of bounds, a topic or
// a dead-letter topic without a stream (bus.ErrNoStream, ErrDeadLetterTopic), marks that expire too
// soon (ErrUnsafeTTL).
func SubscribeExactlyOnce(ctx context.Context, b bus.Bus, topic, group string,
	store dedupe.Store, h Handler, o *Options,
) (*Subscription, error) {
	e, err := prepareEngine(ctx, b, topic, group, store, h, o)
	if err != nil {
		return nil, fmt.Errorf("subscribe group %q to %q: %w", group, topic, err)
	}
	return startSubscription(ctx, e), nil
}

func prepareEngine(ctx context.Context, b bus.Bus, topic, group string,
	store dedupe.Store, h Handler, o *Options,
) (*engine, error) {
	if err := checkRequired(b, topic, group, store, h); err != nil {
		return nil, err
	}
	opts, err := o.WithDefaults(group)
	if err != nil {
		return nil, err
	}
	if err := opts.checkBatch(h); err != nil {
		return nil, err
	}
	watching := newObservers(opts.Observer)
	watching.panics.logger = opts.Logger
	claimer, err := claimerOf(store, opts.Mode, watching)
	if err != nil {
		return nil, err
	}
	transactor, err := transactorOf(ctx, store, opts.Mode, watching)
	if err != nil {
		return nil, err
	}
	info, letters, err := checkTopics(ctx, b, topic, group, opts)
	if err != nil {
		return nil, err
	}
	e := &engine{
		o: opts, group: group, topic: topic, handler: h, base: context.WithoutCancel(ctx),
		bus: b, claimer: claimer, store: watching.observeStore(store), transactor: transactor, observers: watching,
		limit:      newStartLimit(opts, topic),
		drainBegun: make(chan struct{}), drained: make(chan struct{}), drainHopeless: make(chan struct{}),
	}
	e.prepareHandler()
	e.letters = letterPublisher{
		bus: b, group: group, topic: opts.DeadLetter, room: newLetterRoom(&letters), log: opts.Logger, callContext: e.callContext,
	}
	watermarks, ok := store.(dedupe.Watermarker)
	if !ok {
		opts.warnOfUncoveredAge(info)
	}
	opts.warnOfStreamLimits(topic, info)
	e.cursor = cursor.New(cursor.Config{
		Bus: b, Watermarks: watching.observeWatermarks(watermarks), Topic: topic, Group: group, From: opts.From, FromStream: opts.FromStream,
		AckWait: opts.AckWait, Log: opts.Logger,
	})
	if err := e.openCursor(ctx, info); err != nil {
		return nil, err
	}
	return e, nil
}

// prepareHandler wraps the handler, and lets it collect batches.
func (e *engine) prepareHandler() {
	e.batches = newBatchCollector(e)
	e.base = context.WithValue(e.base, batchCollectorKey{}, e.batches)
	for _, wrap := range slices.Backward(e.o.Use) {
		e.handler = wrap(e.handler)
	}
}

// checkTopics returns the topic and its dead-letter topic, if events can be kept there for as long
// as they are needed.
func checkTopics(ctx context.Context, b bus.Bus, topic, group string, o *Options) (events, letters bus.TopicInfo, err error) {
	if letters, err = findLetterTopic(ctx, b, topic, group, o.DeadLetter); err != nil {
		return events, letters, err
	}
	if events, err = b.Topic(ctx, topic, group, o.From); err != nil {
		return events, letters, err
	}
	o.warnOfLetterLimits(&events, &letters)
	return events, letters, nil
}

func checkRequired(b bus.Bus, topic, group string, store dedupe.Store, h Handler) error {
	switch {
	case b == nil:
		return errors.New("the bus is nil")
	case store == nil:
		return errors.New("the store is nil")
	case h == nil:
		return errors.New("the handler is nil")
	case group == "":
		return errors.New("the group is empty: name who consumes, such as \"billing\"")
	}
	return bus.ValidPattern(topic)
}

func claimerOf(store dedupe.Store, mode Mode, o *observers) (dedupe.Claimer, error) {
	if mode == SeenMark {
		return seenmark.New(o.observeStore(store)), nil
	}
	if c, ok := store.(dedupe.Claimer); ok {
		return o.observeClaimer(c), nil
	}
	return nil, fmt.Errorf("%w: %T. Use another store, or Options.Mode SeenMark if concurrent duplicates do no harm", ErrNotClaimer, store)
}

// openCursor opens the cursor, and makes the Machine that goes on from it.
func (e *engine) openCursor(ctx context.Context, info bus.TopicInfo) error {
	opened, err := e.cursor.Open(ctx)
	if err != nil {
		return err
	}
	state := e.cursor.Polled()
	switch {
	case !opened.Known:
		e.o.Logger.Info("the group is new on this topic", "group", e.group, "topic", e.topic,
			"events_to_handle", eventsToHandle(&state, opened.Watermark, info.Last))
	case e.o.From != bus.Start{} && e.o.FromStream == "":
		e.o.Logger.Info("the group is known on this topic and goes on where it was: start is for new groups alone; read again under another group",
			"group", e.group, "topic", e.topic, "sequence", opened.Watermark.Sequence, "start", startText(e.o.From))
	}
	if state.AckWait > 0 {
		e.o.AckWait = state.AckWait // of a consumer that was only bound to
	}
	e.owner = rand.Text() + "-"
	cfg := protocol.Config{
		Group: e.group, Owner: e.owner, Process: e.o.Process, Concurrency: e.o.Concurrency, MaxUnmarked: e.o.MaxUnmarked,
		MaxAttempts: e.o.MaxAttempts, MaxCrashes: e.o.MaxCrashes, Backoff: e.o.Backoff,
		Lease: e.o.Lease, Commit: e.o.commitTime(), AckWait: e.o.AckWait, RunLimit: e.o.RunLimit, TTL: e.o.TTL, GiveUp: e.o.GiveUp, MaxAge: info.MaxAge,
		ArrivalsAreAttempts: e.o.Mode == SeenMark, Watermark: opened.Watermark, Rand: mathrand.Float64,
	}
	now := time.Now()
	e.machine, e.tickEvery = protocol.New(cfg, now), cfg.TickEvery()
	e.machine.SetBusTime(now, state.Now)
	e.applyCapacity(now)
	return nil
}

// eventsToHandle is how many events there are for a new group at most. Another process may have
// taken some, and what lies below its start may be delivered, for the store to recognise.
func eventsToHandle(state *bus.Info, start, last bus.Position) uint64 {
	n := state.Pending + state.Unsettled
	if start.Sequence == 0 || start.Stream != last.Stream {
		return n
	}
	return min(n, last.Sequence-min(start.Sequence, last.Sequence))
}

func startText(from bus.Start) string {
	if from.Latest {
		return "latest"
	}
	return from.Time.Format(time.RFC3339Nano)
}
