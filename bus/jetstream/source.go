package jetstream

import (
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
	b           *Bus
	stream      string
	consumer    string
	incarnation string
	created     time.Time // of the consumer
	want        wanted
	limits      limits
	next        string // where pulls are sent
	schedules   bool   // the stream may have message schedules, its own or copied ones
	deletes     bool   // the stream deletes what is acknowledged

	in      chan *nats.Msg
	inbox   atomic.Pointer[inbox]
	retired atomic.Pointer[inbox] // the one before
	poke    chan struct{}         // wakes Fetch: something changed
	alarm   chan struct{}         // wakes the keeper: something is odd
	pulling pulling               // Fetch's own
	recent  recent                // Fetch's own

	seen     seen
	asked    atomic.Int64              // when Fetch last pulled, Unix time in ns
	silent   atomic.Bool               // a pull ended without a word
	blind    atomic.Bool               // this user may not look at single events
	verified atomic.Pointer[linkState] // the state of the link in which the consumer was last seen to be ours
	stalled  atomic.Pointer[error]     // why no deliveries come
	unraised atomic.Pointer[error]     // why max_ack_pending is not raised though events that wait fill it
	misfit   atomic.Pointer[error]     // what somebody changed of the consumer, or of how events get into the stream
	end      atomic.Pointer[error]     // why no delivery will come any more
	flight   inFlight
	held     held
	loss     loss
	route    route

	closing sync.Once
	cancel  context.CancelFunc // of the keeper
	done    chan struct{}
}

// Subscribe implements bus.Bus. It does not retry.
func (b *Bus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	if o == nil {
		o = &bus.SubscribeOptions{}
	}
	if err := validSubscription(group, o); err != nil {
		return nil, err
	}
	stream, err := b.streamFor(ctx, topic, group)
	if err != nil {
		return nil, err
	}
	if err := o.Resume.In(incarnation(stream), stream.State.LastSeq); err != nil {
		return nil, fmt.Errorf("jetstream: group %q on topic %q: %w", group, topic, err)
	}
	start, err := b.start(stream, o)
	if err != nil {
		return nil, err
	}
	want := wanted{
		name: ConsumerName(group, topic), group: group, filter: topic,
		ackWait: or(o.AckWait, bus.DefaultAckWait), ackPending: ackPendingSteps{b.o.MaxUnsettled, b.o.MaxAckPending},
		inactive: stream.Config.ConsumerLimits.InactiveThreshold, drops: stream.Config.Retention != jetstream.LimitsPolicy,
	}
	state := b.link.now()
	var consumer *jetstream.ConsumerInfo
	made := false
	err = b.retryWhileMade(ctx, func(ctx context.Context) (err error) {
		consumer, made, err = b.consumer(ctx, stream, want, start)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.warnOfPings(consumer.Config.AckWait)
	s := b.newSource(stream, consumer, want)
	if made && o.Resume.Sequence > 0 {
		deleted, err := b.deletedAfter(ctx, stream, o.Resume.Sequence)
		if err != nil {
			return nil, err
		}
		s.loss.begin(stream, consumer, o.Resume.Sequence, deleted)
	}
	s.route.opened(stream, b.astray(ctx, &stream.Config, want.filter), b.log)
	if err := s.open(ctx, state); err != nil {
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

func (b *Bus) newSource(stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo, want wanted) *Source {
	s := &Source{
		b: b, stream: stream.Config.Name, consumer: want.name, incarnation: incarnation(stream), created: consumer.Created,
		want: want, limits: limitsOf(&consumer.Config),
		schedules: stream.Config.AllowMsgSchedules || stream.Config.Mirror != nil || len(stream.Config.Sources) > 0,
		deletes:   stream.Config.Retention != jetstream.LimitsPolicy,
		next:      b.api + "CONSUMER.MSG.NEXT." + stream.Config.Name + "." + want.name,
		in:        make(chan *nats.Msg, inboxSize), poke: make(chan struct{}, 1), alarm: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
	s.loss.begin(stream, consumer, 0, 0)
	s.flight.begin(&consumer.Config)
	return s
}

// open starts what a Source consists of.
func (s *Source) open(ctx context.Context, state *linkState) error {
	if err := s.listen(); err != nil {
		return fmt.Errorf("jetstream: subscribe an inbox for consumer %q: %w", s.consumer, err)
	}
	s.verified.Store(state)
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go s.keep(keeping)
	return nil
}

// Info implements bus.Source.
func (s *Source) Info(ctx context.Context) (bus.Info, error) {
	stream, consumer, err := s.read(ctx)
	if err != nil {
		return bus.Info{}, err
	}
	return bus.Info{
		Stream:       incarnation(stream),
		Floor:        consumer.AckFloor.Stream,
		Pending:      s.pending(ctx, stream, consumer),
		Unsettled:    uint64(max(0, consumer.NumAckPending)),     // #nosec G115 -- not negative
		MaxUnsettled: uint64(max(0, s.reachableLimit(consumer))), // #nosec G115 -- not negative
		Lost:         s.loss.see(stream, consumer, s.seen.redeliveries()),
		AckWait:      consumer.Config.AckWait,
		Now:          stream.TimeStamp,
	}, nil
}

// pending is how many events were never delivered. The server counts what is published as pending a
// little later than it confirms it: where it counts none, it is asked whether there is one behind
// the last that was delivered. If it does not answer, one is taken to be there. A user who may not
// look at events gets the server's count.
func (s *Source) pending(
	ctx context.Context, stream *jetstream.StreamInfo, consumer *jetstream.ConsumerInfo,
) uint64 {
	counted := consumer.NumPending > 0 || consumer.Delivered.Stream >= stream.State.LastSeq
	if counted || s.b.o.BindOnly || s.blind.Load() {
		return consumer.NumPending
	}
	there, err := s.b.holds(ctx, s.stream, s.want.filter, consumer.Delivered.Stream+1)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.blind.Store(true) // what is refused is not answered: it would be waited for each time
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

// read asks for the stream and the consumer, and reports that they are gone as ErrConsumerLost.
func (s *Source) read(ctx context.Context) (*jetstream.StreamInfo, *jetstream.ConsumerInfo, error) {
	stream, err := s.b.streamInfo(ctx, s.stream)
	if err == nil {
		var consumer *jetstream.ConsumerInfo
		if consumer, err = s.b.consumerInfo(ctx, s.stream, s.consumer); err == nil {
			s.flight.read(&consumer.Config)
			s.misfit.Store(some(errors.Join(s.want.refuse(&consumer.Config), s.strayed(ctx, stream))))
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
	if err := s.ended(); err != nil {
		return err
	}
	state := s.b.link.now()
	if err := state.err(s.b.nc); err != nil {
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

// current reports whether the consumer was seen to be ours since the connection last changed.
func (s *Source) current() bool {
	state := s.b.link.now()
	return state.up && s.verified.Load() == state
}

func (s *Source) ended() error {
	if err := s.end.Load(); err != nil {
		return *err
	}
	return nil
}

// finish ends the Source for a reason. The first one stays.
func (s *Source) finish(reason error) {
	s.end.CompareAndSwap(nil, &reason)
	wake(s.poke)
}

// Close implements bus.Source. It sends what settlements are still held, and waits until the server
// has read all of them; an error tells that it may not have.
func (s *Source) Close(ctx context.Context) error {
	var err error
	s.closing.Do(func() {
		s.cancel()
		<-s.done
		if s.ended() == nil {
			err = s.flush(ctx)
		}
		s.finish(fmt.Errorf("%w: Source.Close was called", bus.ErrClosed))
		s.inbox.Load().close()
		s.retired.Load().close()
	})
	return err
}

func (s *Source) flush(ctx context.Context) error {
	if s.current() {
		s.release()
	}
	if n := s.held.len(); n > 0 {
		return fmt.Errorf("jetstream: %d settlements of consumer %q were not sent, their events will be delivered again: %w",
			n, s.consumer, or(s.Healthy(), nats.ErrDisconnected))
	}
	ctx, cancel := s.b.within(ctx)
	defer cancel()
	if err := s.b.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("jetstream: settlements of consumer %q may not have reached the server: %w", s.consumer, err)
	}
	return nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
