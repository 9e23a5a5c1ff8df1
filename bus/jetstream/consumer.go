package jetstream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/shell"
)

// consumerSpec is what is ours of a consumer's configuration. Everything else is other people's.
type consumerSpec struct {
	name              string
	group             string
	topic             string
	filter            string // what the topic covers
	ackWait           time.Duration
	ackPending        ackPendingSteps
	inactiveThreshold time.Duration // what the stream sets where a consumer says nothing of it
	deletesAcked      bool          // the stream deletes what no consumer waits for
}

// ensureConsumer makes or finds the durable consumer of a group, and holds what is ours of it to
// what is wanted.
func (b *Bus) ensureConsumer(ctx context.Context, stream *jetstream.StreamInfo, w consumerSpec, start jetstream.ConsumerConfig) (info *jetstream.ConsumerInfo, made bool, err error) {
	name := stream.Config.Name
	info, err = b.consumerInfo(ctx, name, w.name)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound) && b.o.BindOnly:
		return nil, false, fmt.Errorf("jetstream: consumer %q on stream %q is missing, and Options.BindOnly is set: make it with\n\t%s\n%w",
			w.name, name, consumerAddCommand(name, w), err)
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		made = true
		info, err = b.createConsumer(ctx, name, w.newConfig(start))
	}
	if err != nil {
		return nil, false, err
	}
	wanted := info.Config
	w.applyTo(&wanted, info.NumAckPending)
	if !b.o.BindOnly && !reflect.DeepEqual(wanted, info.Config) {
		if info, err = b.updateConsumer(ctx, name, wanted, info.Config.AckWait); err != nil {
			return nil, false, err
		}
	}
	if err := w.validateConfig(&info.Config); err != nil {
		return nil, false, fmt.Errorf("jetstream: consumer %q on stream %q cannot be used: %w", w.name, name, err)
	}
	return info, made, nil
}

func (b *Bus) consumerInfo(ctx context.Context, stream, name string) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	c, err := b.js.Consumer(ctx, stream, name)
	if errors.Is(err, jetstream.ErrNotPullConsumer) {
		return nil, fmt.Errorf("jetstream: consumer %q on stream %q is a push consumer: delete it, or choose another group: %w", name, stream, err)
	}
	if err != nil {
		return nil, b.wrapRequestError(fmt.Sprintf("read consumer %q on stream %q", name, stream), err)
	}
	return c.CachedInfo(), nil
}

// createConsumer makes a consumer. If another process was faster, that one's is taken as it is.
func (b *Bus) createConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (*jetstream.ConsumerInfo, error) {
	bounded, cancel := b.withAPITimeout(ctx)
	defer cancel()
	c, err := b.js.CreateConsumer(bounded, stream, config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return b.consumerInfo(ctx, stream, config.Durable)
	}
	if err != nil {
		return nil, b.wrapRequestError(fmt.Sprintf("make consumer %q on stream %q", config.Durable, stream), b.explainConflict(ctx, stream, filtersOf(&config), err))
	}
	return c.CachedInfo(), nil
}

// updateConsumer changes a consumer, and reads it again afterwards: when the server was restarted,
// its first answer to an update has the time of the update as the time of creation.
func (b *Bus) updateConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig, before time.Duration) (*jetstream.ConsumerInfo, error) {
	bounded, cancel := b.withAPITimeout(ctx)
	defer cancel()
	if _, err := b.js.UpdateConsumer(bounded, stream, config); err != nil {
		return nil, b.wrapRequestError(fmt.Sprintf("change consumer %q on stream %q", config.Durable, stream), err)
	}
	b.log.Info("changed a consumer's configuration, for all workers of the group", "stream", stream, "consumer", config.Durable,
		"ack_wait", config.AckWait, "ack_wait_before", before, "max_ack_pending", config.MaxAckPending)
	return b.consumerInfo(ctx, stream, config.Durable)
}

func (w consumerSpec) newConfig(start jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	start.Durable = w.name
	start.AckPolicy = jetstream.AckExplicitPolicy
	start.Metadata = map[string]string{metadataGroup: w.group, metadataTopic: w.topic}
	w.applyTo(&start, 0)
	return start
}

// applyTo sets what is ours and can be changed, and leaves the rest. Where a group starts and how
// it acknowledges cannot be changed. What the group raised max_ack_pending to is kept while its
// unsettled deliveries need it.
func (w consumerSpec) applyTo(c *jetstream.ConsumerConfig, unsettled int) {
	if !w.hasOurFilter(c) {
		c.FilterSubject, c.FilterSubjects = w.filter, nil
	}
	c.AckWait, c.BackOff = w.ackWait, nil
	c.MaxAckPending = w.ackPending.keepLimit(c.MaxAckPending, unsettled)
	c.MaxDeliver = -1
	c.HeadersOnly = false
	c.InactiveThreshold = w.inactiveThreshold
}

func (w consumerSpec) hasOurFilter(c *jetstream.ConsumerConfig) bool {
	return slices.Equal(filtersOf(c), []string{w.filter})
}

// filtersOf returns the filters of a consumer, of which the server has one or a list; "" takes all.
func filtersOf(c *jetstream.ConsumerConfig) []string {
	if len(c.FilterSubjects) > 0 {
		return c.FilterSubjects
	}
	return []string{c.FilterSubject}
}

// validateConfig says why events would be lost, or never come, over a consumer that is
// configured like this.
func (w consumerSpec) validateConfig(c *jetstream.ConsumerConfig) error {
	switch {
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		return fmt.Errorf("its ack policy is %q: events would count as settled unseen: it must be explicit", c.AckPolicy)
	case c.MaxDeliver > 0:
		return fmt.Errorf("its delivery limit is %d: the server would drop events that nobody gave up on: set max deliver to -1", c.MaxDeliver)
	case !w.hasOurFilter(c):
		return fmt.Errorf("it filters %q, not the topic %q: %q", filtersOf(c), w.topic, w.filter)
	case c.HeadersOnly:
		return errors.New("it delivers headers only: events would come without their data")
	case c.InactiveThreshold > 0 && w.deletesAcked:
		return fmt.Errorf("it is deleted when nothing was asked of it for %v, and its stream then drops what waits for it: set its inactive threshold, and ConsumerLimits.InactiveThreshold of the stream, to 0", c.InactiveThreshold)
	case c.PriorityPolicy != jetstream.PriorityPolicyNone:
		return errors.New("it has priority groups, which Onceish does not pull from")
	}
	return nil
}

// startConfig is where a consumer begins that does not exist yet.
func (b *Bus) startConfig(stream *jetstream.StreamInfo, o *bus.SubscribeOptions) (jetstream.ConsumerConfig, error) {
	c := jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	switch {
	case stream.Config.Retention == jetstream.WorkQueuePolicy:
		// What is left of a work queue is what nobody has acknowledged, and the server takes
		// no other start.
		if o.Resume == (bus.Position{}) && o.From != (bus.Start{}) {
			return c, fmt.Errorf("jetstream: stream %q is a work queue, which can only be read from its start: leave SubscribeOptions.From zero (start: earliest, --start earliest)", stream.Config.Name)
		}
	case o.Resume.Sequence > 0:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, o.Resume.Sequence+1
	case !o.Resume.Stored.IsZero():
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.Resume.Stored
	case o.Resume.Stream != "":
	case !o.From.Time.IsZero():
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.From.Time
	case o.From.Latest:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, stream.State.LastSeq+1
	}
	return c, nil
}

func consumerAddCommand(stream string, w consumerSpec) string {
	return fmt.Sprintf("nats consumer add %s %s --pull --filter %s --deliver all --ack explicit --wait %v --max-deliver=-1 --max-pending %d --defaults",
		stream, w.name, shell.Quote(w.filter), w.ackWait, w.ackPending.least)
}
