package deferral

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/flow"
)

// storage is what the store must be able to do.
type storage interface {
	dedupe.Store
	dedupe.Claimer
	dedupe.Noter
}

// eventReader is what the bus must be able to do.
type eventReader interface {
	bus.Bus
	bus.Reader
	bus.Finder
}

// Tracker decides which events run at once, and makes summaries of the others. Its methods are safe
// for concurrent use.
type Tracker struct {
	bus     eventReader
	store   storage
	group   string
	topic   string
	options *Options
	summary *consumer.Options // of the subscription to topic
	handler Handler
	maxAge  time.Duration // of the topic's stream
	log     *slog.Logger
	index   *index
	summed  summedUp
	ticks   *ticker
	owner   string // begins the nonces of claims
	nonces  atomic.Uint64
	started atomic.Bool
	done    chan struct{} // closed when all has ended that Start has begun

	mu      sync.Mutex
	config  Config
	limiter flow.Limiter
	read    bus.Position // of the topic

	warnOfPattern sync.Once
}

// Open returns a Tracker of a group, and reads which events are deferred. h makes summaries; Run
// calls it. A nil o means the defaults.
//
// Open refuses what could lose events, or have them run twice: a store without dedupe.Noter
// (ErrStore), a bus that cannot read again what it stores, a topic without a stream (ErrTopic), an
// interval that is too long for what stream and store keep, and what else is out of bounds
// (ErrConfig). It blocks for as long as it takes to read the headers of the events that wait.
func Open(ctx context.Context, b bus.Bus, store dedupe.Store, group string, c Config, h Handler, o *Options) (*Tracker, error) {
	t, err := newTracker(b, store, group, c, h, o)
	if err == nil {
		err = t.prepare(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", group, err)
	}
	return t, nil
}

func newTracker(b bus.Bus, store dedupe.Store, group string, c Config, h Handler, o *Options) (*Tracker, error) {
	reader, ok := b.(eventReader)
	marks, keeps := store.(storage)
	switch {
	case b == nil || !ok:
		return nil, fmt.Errorf("%w: the bus %T is no bus.Reader and bus.Finder, by which deferred events are read again", ErrTopic, b)
	case store == nil || !keeps:
		return nil, fmt.Errorf("%w: %T is no dedupe.Claimer and dedupe.Noter: without a note in the row of an event, a retry could decide otherwise", ErrStore, store)
	case group == "":
		return nil, fmt.Errorf("%w: the group is empty: name who consumes, such as \"billing\"", ErrConfig)
	case h == nil:
		return nil, fmt.Errorf("%w: there is no handler for summaries, so deferred events would wait for ever", ErrConfig)
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	options, err := o.withDefaults(group)
	if err != nil {
		return nil, err
	}
	t := &Tracker{
		bus: reader, store: marks, group: group, topic: options.Topic, options: options, handler: h, config: c,
		log: options.Logger.With("topic", options.Topic, "group", group), index: newIndex(), owner: rand.Text() + "-",
		done: make(chan struct{}),
	}
	t.ticks = newTicker(t)
	if t.summary, err = t.subscription(); err != nil {
		return nil, err
	}
	t.limiter, err = options.Limiter(c.Rate, c.MaxKeys)
	return t, err
}

// prepare checks the topic, and reads what waits there.
func (t *Tracker) prepare(ctx context.Context) error {
	info, err := t.bus.Topic(ctx, t.topic, t.group, bus.Start{})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTopic, err)
	case info.ReadOnly:
		return fmt.Errorf("%w: the stream of %q takes nothing that is published to it: make a stream that does", ErrTopic, t.topic)
	case info.WorkQueue || info.Interest:
		return fmt.Errorf("%w: the stream of %q has work-queue or interest retention: use one with limits retention, from which deferred events can be read again",
			ErrTopic, t.topic)
	}
	t.maxAge = info.MaxAge
	if err := t.config.fits(t.maxAge, t.summary.TTL); err != nil {
		return err
	}
	t.warnOfLimits(&info)
	return t.catchUp(ctx)
}

// warnOfLimits warns of a stream that deletes deferred events, or takes none any more, when it is
// full. What was summed up is only deleted by its age.
func (t *Tracker) warnOfLimits(info *bus.TopicInfo) {
	switch l := info.Limits; {
	case l.Events > 0 || l.Bytes > 0 || l.EventsPerTopic > 0:
		t.log.Warn("the stream of the deferred events is bounded: when it is full it deletes the oldest ones, summed up or not; "+
			"have it refuse new events (discard: new), with a max_age that makes room",
			"events", l.Events, "events_per_topic", l.EventsPerTopic, "bytes", l.Bytes)
	case info.RefusesWhenFull && info.MaxAge == 0:
		t.log.Warn("the stream of the deferred events refuses new ones when it is full, and keeps those that were summed up: then nothing can be deferred any more; " +
			"give it a max_age, or no bounds")
	}
}

// Config returns the configuration as it is.
func (t *Tracker) Config() Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config
}

// Update changes the configuration from now on, or returns why it is not valid and changes nothing.
// What is left of a key's limit stays left, as flow says; what is deferred stays deferred.
func (t *Tracker) Update(c Config) error {
	c, err := c.withDefaults()
	if err == nil {
		err = c.fits(t.maxAge, t.summary.TTL)
	}
	if err == nil {
		err = t.change(c)
	}
	if err != nil {
		return err
	}
	t.ticks.poke()
	t.log.Info("the configuration of deferral was changed", "limit", c.Rate.Limit, "per", c.Rate.Per, "strategy", c.Rate.Strategy,
		"interval", c.Interval, "max_keys", c.MaxKeys, "overflow", c.Overflow)
	t.observe(Observation{Outcome: OutcomeConfigUpdated, Config: &c})
	return nil
}

func (t *Tracker) change(c Config) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.Rate != t.config.Rate {
		if l, ok := t.limiter.(interface{ SetRate(r flow.Rate) error }); ok {
			if err := l.SetRate(c.Rate); err != nil {
				return err
			}
		} else {
			l, err := t.options.Limiter(c.Rate, c.MaxKeys)
			if err != nil {
				return err
			}
			t.limiter = l
		}
	}
	t.config = c
	return nil
}

func (t *Tracker) newNonce() string { return t.owner + strconv.FormatUint(t.nonces.Add(1), 36) }

// Start begins to make summaries, and returns the subscription to the topic of deferred events: to
// watch, or to drain it. It is paused between summaries, by PausedBy. When ctx ends, or it is
// drained, running summaries finish, as consumer.Options.Drain says; then Done is closed. Start is
// called once.
func (t *Tracker) Start(ctx context.Context) (*consumer.Subscription, error) {
	if t.started.Swap(true) {
		return nil, errors.New("deferral: the tracker was started before")
	}
	sub, err := consumer.SubscribeExactlyOnce(ctx, t.bus, t.topic, t.group, t.store, t.summarize, t.summary)
	if err != nil {
		close(t.done)
		return nil, err
	}
	sub.PauseBy(PausedBy)
	until, end := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() { t.follow(until) })
	all.Go(func() { t.ticks.run(until, sub) })
	go func() {
		<-sub.Done()
		end()
		all.Wait()
		close(t.done)
	}()
	return sub, nil
}

// Done is closed once everything that Start has begun has ended.
func (t *Tracker) Done() <-chan struct{} { return t.done }

// Run makes summaries until ctx ends, and returns once everything has ended that it has begun: nil,
// or what consumer.Subscription.Err says. It returns early, with an error, if the topic cannot be
// subscribed to, or bus or store are closed for good. It calls Start.
func (t *Tracker) Run(ctx context.Context) error {
	sub, err := t.Start(ctx)
	if err != nil {
		return err
	}
	<-t.done
	return sub.Err()
}

// Actor returns an actor of a run.Group: run is Run, stop ends it.
func (t *Tracker) Actor() (run func() error, stop func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	return func() error { return t.Run(ctx) }, func(error) { cancel() }
}

// Topic is that of the deferred events.
func (t *Tracker) Topic() string { return t.topic }

// Options are those of the subscription to Topic, with their defaults.
func (t *Tracker) Options() *consumer.Options { return t.summary }

// Waiting returns how many keys have deferred events, and how many events those are, as far as this
// process knows.
func (t *Tracker) Waiting() (keys, events int) { return t.index.size() }
