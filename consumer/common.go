package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer/internal/cursor"
	"github.com/onceish/onceish/consumer/internal/protocol"
	"github.com/onceish/onceish/consumer/internal/seenmark"
	"github.com/onceish/onceish/dedupe"
)

// common is what the engines of a subscription have in common.
type common struct {
	options           *Options
	group, subscribed string // the group, and the topic that it has subscribed to
	handler           Handler
	values            context.Context //nolint:containedctx // the subscriber's, without its cancellation
	bus               bus.Bus
	claimer           dedupe.Claimer
	store             dedupe.Store       // that of the claimer
	watermarks        dedupe.Watermarker // nil: the store has none
	transactor        dedupe.Transactor  // nil: runs are marked afterwards
	noter             dedupe.Noter       // nil: none keeps notes
	observers         *observers         // whoever of them is told of calls of the store is in what makes these
	limit             *startLimit        // nil: there is none
	letters           bus.TopicInfo      // of the dead-letter topic
	ownerPrefix       string             // begins the nonces of all claims
	enginesMade       atomic.Uint64
	warnedOfStream    atomic.Bool

	stop    context.CancelFunc // begins to drain the subscription
	stopped <-chan struct{}    // closed by stop
	slots   *slots
	engines engineSet
}

// prepareSubscription checks everything that does not need the group's cursor.
func prepareSubscription(ctx context.Context, b bus.Bus, topic, group string,
	store dedupe.Store, h Handler, o *Options,
) (*Subscription, error) {
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
	if err := opts.Order.checkSubscription(topic, group, opts.Session); err != nil {
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
	c := &common{
		options: opts, group: group, subscribed: topic, handler: h, values: context.WithoutCancel(ctx),
		bus: b, claimer: claimer, store: watching.observeStore(store), transactor: transactor, noter: noterOf(store, opts.Mode, watching), observers: watching,
		limit: newStartLimit(opts, topic), ownerPrefix: rand.Text() + "-", slots: newSlots(opts),
	}
	c.watermarks, _ = store.(dedupe.Watermarker)
	for _, wrap := range slices.Backward(opts.Use) {
		c.handler = wrap(c.handler)
	}
	if len(watching.pauses) > 0 {
		c.engines.pauseNoted = sync.NewCond(&c.engines.mu)
	}
	if c.letters, err = findLetterTopic(ctx, b, topic, group, opts.DeadLetter); err != nil {
		return nil, err
	}
	return &Subscription{common: c, done: make(chan struct{})}, nil
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

// checkStream returns what the bus knows of a topic, and warns once of what its stream drops.
func (c *common) checkStream(ctx context.Context, topic string) (bus.TopicInfo, error) {
	info, err := c.bus.Topic(ctx, topic, c.group, c.options.From)
	if err != nil || c.warnedOfStream.Swap(true) {
		return info, err
	}
	c.options.warnOfLetterLimits(&info, &c.letters)
	if c.watermarks == nil {
		c.options.warnOfUncoveredAge(info)
	}
	c.options.warnOfStreamLimits(topic, info)
	return info, nil
}

// newEngine returns an engine on a topic whose cursor is not open yet. Handlers get the values of
// ctx.
func (c *common) newEngine(ctx context.Context, topic string) *engine {
	o := *c.options
	e := &engine{
		common: c, o: &o, topic: topic,
		slotShare: -1, gatesAllow: -1,
		drainBegun: make(chan struct{}), drained: make(chan struct{}), drainHopeless: make(chan struct{}),
	}
	e.batches = newBatchCollector(e)
	e.base = context.WithValue(ctx, batchCollectorKey{}, e.batches)
	e.letters = letterPublisher{
		bus: c.bus, group: c.group, topic: o.DeadLetter, room: newLetterRoom(&c.letters), log: o.Logger, callContext: e.callContext,
	}
	return e
}

// newCursor returns a cursor on a topic that is not open yet.
func (c *common) newCursor(topic string) *cursor.Cursor { return cursor.New(c.cursorConfig(topic)) }

// cursorConfig is that of a cursor on a topic.
func (c *common) cursorConfig(topic string) cursor.Config {
	o := c.options
	return cursor.Config{
		Bus: c.bus, Watermarks: c.observers.observeWatermarks(c.watermarks), Topic: topic, Group: c.group, From: o.From, FromStream: o.FromStream,
		AckWait: o.AckWait, Log: o.Logger,
	}
}

// openCursor opens the cursor, and makes the Machine that goes on from it.
func (e *engine) openCursor(ctx context.Context, config cursor.Config, info *bus.TopicInfo) error {
	e.cursor = cursor.New(config)
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
	cfg := protocol.Config{
		Group: e.group, Owner: e.newOwner(), Process: e.o.Process, Concurrency: e.o.Concurrency, MaxUnmarked: e.o.MaxUnmarked,
		MaxAttempts: e.o.MaxAttempts, MaxCrashes: e.o.MaxCrashes, Backoff: e.o.Backoff,
		Lease: e.o.Lease, Commit: e.o.commitTime(), AckWait: e.o.AckWait, RunLimit: e.o.RunLimit, TTL: e.o.TTL, GiveUp: e.o.GiveUp, MaxAge: info.MaxAge,
		ArrivalsAreAttempts: e.o.Mode == SeenMark, Watermark: opened.Watermark, Rand: mathrand.Float64,
		Owned: e.ownedUntil != nil, HandledBeside: e.o.HandledBeside,
	}
	now := time.Now()
	e.machine, e.tickEvery = protocol.New(cfg, now), cfg.TickEvery()
	e.machine.SetBusTime(now, state.Now)
	e.applyCapacity(now)
	return nil
}

// isStopped reports whether the subscription has begun to end.
func (c *common) isStopped() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// newOwner begins the nonces of the claims of one engine, and of no other.
func (c *common) newOwner() string {
	n := c.enginesMade.Add(1)
	if n == 1 {
		return c.ownerPrefix
	}
	return c.ownerPrefix + strconv.FormatUint(n, 36) + "-"
}
