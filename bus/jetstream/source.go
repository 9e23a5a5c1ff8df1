package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
)

var _ bus.Source = (*Source)(nil)

// Source is a bus.Source on a durable pull consumer. A goroutine of its own, which Close ends,
// looks after the consumer when nothing comes or the connection was lost.
type Source struct {
	b                *Bus
	stream           string
	consumer         string
	incarnation      string
	created          time.Time // of the consumer
	spec             consumerSpec
	limits           pullLimits
	pullSubject      string // where pulls are sent
	mayHaveSchedules bool   // the stream may have message schedules, its own or copied ones

	incoming     chan *nats.Msg
	inbox        atomic.Pointer[pullInbox]
	retiredInbox atomic.Pointer[pullInbox] // the one before
	wakeFetch    chan struct{}             // wakes Fetch: something changed
	wakeMonitor  chan struct{}             // wakes the monitor: something is odd
	pulling      pullState                 // Fetch's own
	recent       recentSequences           // Fetch's own
	counter      deliveryCounter           // counts if the consumer was rewound

	arrived          atomic.Uint64                   // deliveries that came
	redelivered      atomic.Uint64                   // of them, those that had come before
	highest          atomic.Pointer[deliveryInfo]    // the delivery with the highest sequence
	lastPulled       atomic.Int64                    // when Fetch last pulled, Unix time in ns
	pullUnanswered   atomic.Bool                     // a pull ended without a word
	cannotReadEvents atomic.Bool                     // this user may not look at single events
	verified         atomic.Pointer[connectionState] // the state of the link in which the consumer was last seen to be ours
	stalled          atomic.Pointer[error]           // why no deliveries come
	unraised         atomic.Pointer[error]           // why max_ack_pending is not raised though events that wait fill it
	misfit           atomic.Pointer[error]           // what somebody changed of the consumer, or of how events get into the stream
	ended            atomic.Pointer[error]           // why no delivery will come any more
	inFlight         inFlightDeliveries
	waiting          waitingAnswers
	loss             lossCounter
	route            routeMonitor

	closing sync.Once
	cancel  context.CancelFunc // of the monitor
	done    chan struct{}
}

// Subscribe implements bus.Bus. It does not retry.
func (b *Bus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	o = cmp.Or(o, &bus.SubscribeOptions{})
	if err := validSubscription(group, o); err != nil {
		return nil, err
	}
	stream, err := b.streamFor(ctx, topic, group)
	if err != nil {
		return nil, err
	}
	if err := o.Resume.In(incarnationOf(stream), stream.State.LastSeq); err != nil {
		return nil, fmt.Errorf("jetstream: group %q on topic %q: %w", group, topic, err)
	}
	start, err := b.startConfig(stream, o)
	if err != nil {
		return nil, err
	}
	want := consumerSpec{
		name: ConsumerName(group, topic), group: group, topic: topic, filter: bus.FilterOf(topic),
		ackWait: cmp.Or(o.AckWait, bus.DefaultAckWait), ackPending: ackPendingSteps{b.o.MaxUnsettled, b.o.MaxAckPending},
		inactiveThreshold: stream.Config.ConsumerLimits.InactiveThreshold, deletesAcked: stream.Config.Retention != jetstream.LimitsPolicy,
	}
	state := b.link.current()
	var consumer *jetstream.ConsumerInfo
	made := false
	err = b.retryWhileMade(ctx, func(ctx context.Context) (err error) {
		consumer, made, err = b.ensureConsumer(ctx, stream, want, start)
		return err
	})
	if err == nil && o.Rewind {
		consumer, err = b.rewindConsumer(ctx, stream, consumer)
	}
	if err != nil {
		return nil, err
	}
	b.warnOfDeliveries(ctx, stream, topic, consumer.Config.AckWait)
	s := b.newSource(stream, consumer, want)
	if o.Rewind {
		s.counter.startAfter(consumer.Delivered.Consumer)
	}
	if made && o.Resume.Sequence > 0 {
		deleted, err := b.deletedAfter(ctx, stream, o.Resume.Sequence)
		if err != nil {
			return nil, err
		}
		s.loss.takeFirstSample(stream, consumer, o.Resume.Sequence, deleted)
	}
	s.route.recordInitial(stream, b.routeFault(ctx, &stream.Config, topic), b.log)
	if err := s.start(ctx, state); err != nil {
		return nil, err
	}
	return s, nil
}

func validSubscription(group string, o *bus.SubscribeOptions) error {
	switch {
	case group == "":
		return errors.New("jetstream: the group is empty: name it, for it is the cursor's name")
	case o.AckWait < 0 || o.AckWait > 0 && o.AckWait < time.Millisecond:
		return fmt.Errorf("jetstream: SubscribeOptions.AckWait is %v: at least 1ms, or 0 for %v", o.AckWait, bus.DefaultAckWait)
	}
	return validStart(o.From)
}

func (b *Bus) newSource(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, want consumerSpec) *Source {
	s := &Source{
		b: b, stream: stream.Config.Name, consumer: want.name, incarnation: incarnationOf(stream), created: consumer.Created,
		spec: want, limits: pullLimitsOf(&consumer.Config),
		mayHaveSchedules: mayHaveSchedules(&stream.Config),
		pullSubject:      b.api + "CONSUMER.MSG.NEXT." + stream.Config.Name + "." + want.name,
		incoming:         make(chan *nats.Msg, inboxSize), wakeFetch: make(chan struct{}, 1), wakeMonitor: make(chan struct{}, 1),
		done: make(chan struct{}), inFlight: inFlightDeliveries{due: map[uint64]time.Time{}},
	}
	s.highest.Store(&deliveryInfo{})
	s.loss.takeFirstSample(stream, consumer, 0, 0)
	s.inFlight.updateConfig(&consumer.Config)
	return s
}

// start subscribes the inbox, and starts the monitor.
func (s *Source) start(ctx context.Context, state *connectionState) error {
	if err := s.subscribeInbox(); err != nil {
		return fmt.Errorf("jetstream: subscribe an inbox for consumer %q: %w", s.consumer, err)
	}
	s.verified.Store(state)
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.monitorConsumer(keeping)
	return nil
}

// Info implements bus.Source.
func (s *Source) Info(ctx context.Context) (bus.Info, error) {
	stream, consumer, err := s.readConsumer(ctx)
	if err != nil {
		return bus.Info{}, err
	}
	if !consumer.Paused {
		s.forgetServerPause()
	}
	return bus.Info{
		Stream:       incarnationOf(stream),
		Floor:        floorOf(consumer),
		Pending:      s.countPending(ctx, stream, consumer),
		Unsettled:    uint64(max(0, consumer.NumAckPending)),     // #nosec G115 -- not negative
		MaxUnsettled: uint64(max(0, s.reachableLimit(consumer))), // #nosec G115 -- not negative
		Lost:         s.loss.addSample(stream, consumer, s.redelivered.Load()),
		AckWait:      consumer.Config.AckWait,
		PausedFor:    pausedFor(consumer),
		Now:          stream.TimeStamp,
	}, nil
}

// countPending is how many events were never delivered. The server counts what is published as
// pending a little later than it confirms it: where it counts none, it is asked whether there is
// one behind the last that was delivered. If it does not answer, one is taken to be there. A user
// who may not look at events gets the server's count.
func (s *Source) countPending(
	ctx context.Context, stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo,
) uint64 {
	counted := consumer.NumPending > 0 || consumer.Delivered.Stream >= stream.State.LastSeq
	if counted || s.b.o.BindOnly || s.cannotReadEvents.Load() {
		return consumer.NumPending
	}
	there, err := s.b.streamHolds(ctx, s.stream, s.spec.topic, consumer.Delivered.Stream+1)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.cannotReadEvents.Store(true) // what is refused is not answered: it would be waited for each time
		return consumer.NumPending
	case err != nil:
		s.b.log.Warn("could not ask for events that the server does not count yet",
			"stream", s.stream, "consumer", s.consumer, "error", err)
		return 1
	case there:
		return 1
	}
	return 0
}

// readConsumer asks for the stream and the consumer, and reports that they are gone as
// ErrConsumerLost.
func (s *Source) readConsumer(ctx context.Context) (*jetstream.StreamInfo, *jetstream.ConsumerInfo, error) {
	stream, err := s.b.streamInfo(ctx, s.stream)
	if err == nil {
		var consumer *jetstream.ConsumerInfo
		if consumer, err = s.b.consumerInfo(ctx, s.stream, s.consumer); err == nil {
			s.inFlight.updateConfig(&consumer.Config)
			s.misfit.Store(errorPointer(errors.Join(s.spec.validateConfig(&consumer.Config), s.checkRoute(ctx, stream))))
			return stream, consumer, nil
		}
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		err = fmt.Errorf("%w: %w", bus.ErrConsumerLost, err)
	}
	return nil, nil, err
}

// Healthy implements bus.Source.
func (s *Source) Healthy() error {
	if err := s.endError(); err != nil {
		return err
	}
	state := s.b.link.current()
	if err := s.b.link.sendError(state); err != nil {
		return err
	}
	for _, err := range []*error{s.misfit.Load(), s.unraised.Load(), s.stalled.Load()} {
		if err != nil {
			return *err
		}
	}
	if s.verified.Load() != state {
		return fmt.Errorf("consumer %q on stream %q is being looked up again after the connection was lost", s.consumer, s.stream)
	}
	return nil
}

// isVerified reports whether the consumer was seen to be ours since the connection last changed.
func (s *Source) isVerified() bool {
	state := s.b.link.current()
	return state.up && s.verified.Load() == state
}

func (s *Source) endError() error {
	if err := s.ended.Load(); err != nil {
		return *err
	}
	return nil
}

// endWith ends the Source for a reason. The first one stays.
func (s *Source) endWith(reason error) {
	s.ended.CompareAndSwap(nil, &reason)
	notifyOnce(s.wakeFetch)
}

// Close implements bus.Source. It sends the answers that still wait, and waits until the server
// has read all of them; an error tells that it may not have.
func (s *Source) Close(ctx context.Context) error {
	var err error
	s.closing.Do(func() {
		s.cancel()
		<-s.done
		if s.endError() == nil {
			err = s.flushSettlements(ctx)
		}
		s.endWith(fmt.Errorf("%w: Source.Close was called", bus.ErrClosed))
		s.closeInboxes()
	})
	return err
}

func (s *Source) flushSettlements(ctx context.Context) error {
	if s.isVerified() {
		s.sendWaiting()
	}
	if n := len(s.waiting.takeAll()); n > 0 {
		return fmt.Errorf("jetstream: %d answers to consumer %q were not sent; their events will be redelivered: %w",
			n, s.consumer, cmp.Or(s.Healthy(), nats.ErrDisconnected))
	}
	ctx, cancel := s.b.withAPITimeout(ctx)
	defer cancel()
	if err := s.b.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("jetstream: answers to consumer %q may not have reached the server: %w", s.consumer, err)
	}
	return nil
}

func notifyOnce(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
