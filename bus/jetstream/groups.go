package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Group is a group on a topic, as the server sees its consumer.
type Group struct {
	Name, Topic      string
	Stream, Consumer string
	// Pending is how many events were never delivered to the group, Unsettled how many were
	// delivered and are not acknowledged.
	Pending, Unsettled uint64
	// Floor is the sequence up to which everything is acknowledged, Delivered the last that was
	// delivered.
	Floor, Delivered uint64
	// Pulls is how many requests for events wait at the server: none if the group has no members,
	// or if they take no more now.
	Pulls int
	// Idle is how long ago an event was delivered or acknowledged. Zero: never, or before the
	// server was started.
	Idle time.Duration
	// PausedFor is for how much longer the server delivers nothing to the consumer, because
	// somebody paused it. Zero: it is not paused.
	PausedFor time.Duration
	// Now is when the server told all this, by its clock.
	Now time.Time
}

// ErrGroupRuns is returned by RemoveGroup when the group has members, or may have.
var ErrGroupRuns = errors.New("the group has members")

// What a consumer's metadata says of whom it serves.
const (
	metadataGroup = "onceish.group"
	metadataTopic = "onceish.topic"
)

// Groups returns the groups whose consumers Onceish has made, on all streams that the user may
// list, by name and topic. Those of a group whose name has other characters than letters,
// digits, '-' and '_', and that an older version made, are not found. It takes
// $JS.API.STREAM.NAMES, $JS.API.STREAM.INFO.> and $JS.API.CONSUMER.LIST.>.
func (b *Bus) Groups(ctx context.Context) ([]Group, error) {
	streams, err := b.streamNames(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []Group
	for _, name := range streams {
		consumers, err := b.consumersOf(ctx, name)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // else it has just gone
			return nil, err
		}
		for _, info := range consumers {
			if g, ok := groupOf(info); ok {
				out = append(out, g)
			}
		}
	}
	slices.SortFunc(out, func(a, b Group) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Topic, b.Topic)) })
	return out, nil
}

// consumersOf lists a stream's consumers. After an error it may have some of them.
func (b *Bus) consumersOf(ctx context.Context, stream string) (all []*jetstream.ConsumerInfo, err error) {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, b.wrapRequestError(fmt.Sprintf("read stream %q", stream), err)
	}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		all = append(all, info)
	}
	return all, b.wrapRequestError(fmt.Sprintf("list the consumers of stream %q", stream), list.Err())
}

// groupOf reads whom a consumer serves; ok is false for consumers of others.
func groupOf(info *jetstream.ConsumerInfo) (g Group, ok bool) {
	group, topic := info.Config.Metadata[metadataGroup], info.Config.Metadata[metadataTopic]
	if group == "" {
		topic = info.Config.FilterSubject // of an older release, before partitions
		group = strings.TrimSuffix(info.Name, "-"+sanitizeName(topic)+info.Name[max(0, strings.LastIndexByte(info.Name, '-')):])
	}
	if group == "" || ConsumerName(group, topic) != info.Name {
		return Group{}, false
	}
	g = Group{
		Name: group, Topic: topic, Stream: info.Stream, Consumer: info.Name,
		Pending: info.NumPending, Unsettled: uint64(max(0, info.NumAckPending)), Pulls: info.NumWaiting, PausedFor: pausedFor(info),
		Floor: floorOf(info), Delivered: info.Delivered.Stream, Now: info.TimeStamp,
	}
	for _, at := range []*time.Time{info.Delivered.Last, info.AckFloor.Last} {
		if at != nil && (g.Idle == 0 || info.TimeStamp.Sub(*at) < g.Idle) {
			g.Idle = max(1, info.TimeStamp.Sub(*at))
		}
	}
	return g, true
}

// Busy returns ErrGroupRuns, with the reason, if the group has members, or may have: requests for
// events wait, or events are not settled. The latter is no reason for somebody who is sure that
// there are none.
func (g *Group) Busy(sure bool) error {
	switch {
	case g.Pulls > 0:
		return fmt.Errorf("jetstream: group %q on topic %q: %w: %d requests for events wait: stop its workers first", g.Name, g.Topic, ErrGroupRuns, g.Pulls)
	case g.Unsettled > 0 && !sure:
		return fmt.Errorf("jetstream: group %q on topic %q: %w, or had some until lately: %d events were delivered and are not settled: make sure that none of its workers run",
			g.Name, g.Topic, ErrGroupRuns, g.Unsettled)
	}
	return nil
}

// pausedFor is for how much longer a consumer is paused. A pause that is about to end still is one.
func pausedFor(info *jetstream.ConsumerInfo) time.Duration {
	if !info.Paused {
		return 0
	}
	return max(1, info.PauseRemaining)
}

// PauseGroup has the server deliver nothing to a group's consumer until a time by its clock. It
// stops no run and no retry of what was delivered; it is how other clients of the server see that
// the group is paused. It takes a server of version 2.11 and the permission to publish to
// $JS.API.CONSUMER.PAUSE.>. A consumer that is not there any more is no error.
func (b *Bus) PauseGroup(ctx context.Context, g Group, until time.Time) error {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	_, err := b.js.PauseConsumer(ctx, g.Stream, g.Consumer, until)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return b.wrapRequestError(fmt.Sprintf("pause consumer %q of stream %q", g.Consumer, g.Stream), err)
}

// ResumeGroup ends a PauseGroup, whoever made it.
func (b *Bus) ResumeGroup(ctx context.Context, g Group) error {
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	_, err := b.js.ResumeConsumer(ctx, g.Stream, g.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return b.wrapRequestError(fmt.Sprintf("resume consumer %q of stream %q", g.Consumer, g.Stream), err)
}

// RemoveGroup deletes a group's consumer, for good: the group is new on the topic afterwards, but
// for what a dedupe store remembers. While requests for events wait, it returns ErrGroupRuns: a
// member would make the consumer again. A group with unsettled events may have members that run
// them and take no more: it is ErrGroupRuns too, unless sure says that there are none. What is gone
// already is no error.
func (b *Bus) RemoveGroup(ctx context.Context, g Group, sure bool) error {
	info, err := b.consumerInfo(ctx, g.Stream, g.Consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	g.Pulls, g.Unsettled = info.NumWaiting, uint64(max(0, info.NumAckPending))
	if err := g.Busy(sure); err != nil {
		return err
	}
	ctx, cancel := b.withAPITimeout(ctx)
	defer cancel()
	if err = b.js.DeleteConsumer(ctx, g.Stream, g.Consumer); errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return b.wrapRequestError(fmt.Sprintf("delete consumer %q of stream %q", g.Consumer, g.Stream), err)
}
