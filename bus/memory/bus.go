package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
)

// Bus implements bus.Bus.
type Bus struct {
	streams []*memoryStream
}

var _ bus.Bus = (*Bus)(nil)

// New returns an empty Bus. It needs no closing. A nil o means the defaults.
func New(o *Options) (*Bus, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{}
	for _, config := range opts.Streams {
		b.streams = append(b.streams, newMemoryStream(config, opts.Now))
	}
	return b, nil
}

// Publish implements bus.Publisher. It never waits. Under a ctx that has ended it stores
// nothing. Data and Headers are copied; what is delivered is shared by all who receive it, and
// must not be changed.
func (b *Bus) Publish(ctx context.Context, events ...bus.Event) ([]bus.Receipt, error) {
	receipts := make([]bus.Receipt, len(events))
	errs := make([]error, len(events))
	for i := range events {
		receipts[i] = b.publishOne(ctx, events[i])
		errs[i] = receipts[i].Err
	}
	return receipts, errors.Join(errs...)
}

func (b *Bus) publishOne(ctx context.Context, e bus.Event) (r bus.Receipt) {
	s, e, err := b.prepareEvent(ctx, e)
	if err != nil {
		return bus.Receipt{Err: err}
	}
	id := bus.MessageID(&e)
	e = normalizeEvent(e)
	s.withLock(func(now int64) { r = s.storeEvent(e, id, now) })
	return r
}

// prepareEvent returns the stream of an event, and the event without foreign control headers, or
// why it cannot be published.
func (b *Bus) prepareEvent(ctx context.Context, e bus.Event) (*memoryStream, bus.Event, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, e, fmt.Errorf("memory: event %.64q was not published: %w", e.ID, err)
	}
	if err := e.Validate(); err != nil {
		return nil, e, err
	}
	e = bus.DropForeignControl(e)
	s, err := b.findStream(e.Topic, bus.SubjectOf(e.Topic))
	if err != nil {
		return nil, e, err
	}
	if n := eventBytes(&e); n > s.config.MaxBytes {
		return nil, e, fmt.Errorf("%w: event %.64q for topic %q has %d bytes, stream %q takes %d: "+
			"send less, or raise Stream.MaxBytes", bus.ErrTooLarge, e.ID, e.Topic, n, s.config.Name, s.config.MaxBytes)
	}
	if n := headerBytes(&e); n > maxHeaderBytes {
		return nil, e, fmt.Errorf("%w: event %.64q for topic %q has %d bytes of headers, at most %d are taken: put them into Data",
			bus.ErrTooLarge, e.ID, e.Topic, n, maxHeaderBytes)
	}
	return s, e, nil
}

// normalizeEvent is the event as it is read back: a copy, with the empty attributes spelled out.
func normalizeEvent(e bus.Event) bus.Event {
	e.Type = cmp.Or(e.Type, bus.LogicalTopic(e.Topic))
	if e.Key == "" {
		e.Key, _ = bus.PartitionKey(e.Topic)
	}
	e.Source = cmp.Or(e.Source, bus.DefaultSource)
	e.Time = e.Time.Round(0).UTC()
	e.Data = bytes.Clone(e.Data)
	if e.Headers != nil {
		e.Headers = e.Headers.Clone()
	}
	return e
}

func eventBytes(e *bus.Event) int {
	return len(e.ID) + len(e.Topic) + len(e.Key) + len(e.Type) + len(e.Source) + len(e.ContentType) + len(e.Data) + headerBytes(e)
}

// maxHeaderBytes bounds an event's headers, as NATS does.
const maxHeaderBytes = 1<<16 - 1

// headerBytes is what the headers take on NATS.
func headerBytes(e *bus.Event) (n int) {
	for name, values := range e.Headers {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// Topic implements bus.Bus.
func (b *Bus) Topic(ctx context.Context, topic, group string, from bus.Start) (info bus.TopicInfo, err error) {
	s, err := b.findSubscribed(ctx, topic, group, from)
	if err != nil {
		return bus.TopicInfo{}, err
	}
	s.withLock(func(int64) {
		info = bus.TopicInfo{
			First: s.firstPosition(), Last: s.lastPosition(), WorkQueue: s.config.WorkQueue, MaxAge: s.config.MaxAge,
			MaxBytes: s.config.MaxBytes, MaxHeaderBytes: maxHeaderBytes, Limits: bus.Limits{Events: int64(s.config.MaxEvents)},
		}
		if sl := s.slotOf(topic, group); sl != nil && sl.cursor != nil {
			info.Known, from = true, bus.Start{}
		}
		info.Start = s.startWatermark(from)
	})
	return info, nil
}

// Subscribe implements bus.Bus. The Source is a *Source. The AckWait of the last call holds for
// the group's deliveries from then on. On a work queue a Resume changes nothing: what is still
// stored is not done.
func (b *Bus) Subscribe(ctx context.Context, topic, group string, o *bus.SubscribeOptions) (bus.Source, error) {
	opts := *cmp.Or(o, &bus.SubscribeOptions{})
	if opts.AckWait < 0 {
		return nil, fmt.Errorf("memory: SubscribeOptions.AckWait is %v: it must be 0 (30 s) or above", opts.AckWait)
	}
	if group == "" {
		return nil, fmt.Errorf("memory: the group of topic %q is empty: name it", topic)
	}
	opts.AckWait = cmp.Or(opts.AckWait, bus.DefaultAckWait)
	s, err := b.findSubscribed(ctx, topic, group, opts.From)
	if err != nil {
		return nil, err
	}
	var src *Source
	s.withLock(func(int64) {
		if err = opts.Resume.In(s.name, s.log.next-1); err == nil {
			src, err = s.subscribeGroup(topic, group, opts)
		}
	})
	if err != nil {
		return nil, err
	}
	return src, nil
}

// findSubscribed finds the stream of a subscription, or of a publisher, whose group is empty.
func (b *Bus) findSubscribed(ctx context.Context, topic, group string, from bus.Start) (*memoryStream, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if from.Latest && !from.Time.IsZero() {
		return nil, fmt.Errorf("memory: group %q starts at Latest and at %v: set one of them", group, from.Time)
	}
	if err := bus.ValidPattern(topic); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	if group == "" {
		return b.findStream(topic, bus.SubjectOf(topic))
	}
	return b.findStream(topic, bus.FilterOf(topic))
}

// findStream returns the one stream that takes any of the patterns, which stand for a topic.
func (b *Bus) findStream(topic, pattern string) (*memoryStream, error) {
	var found *memoryStream
	for _, s := range b.streams {
		if !overlapsAny(s.config.Topics, pattern) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("memory: topic %q is in the streams %q and %q: subscribe to each part of it alone",
				topic, found.config.Name, s.config.Name)
		}
		found = s
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %q: add a stream with this topic to Options.Streams", bus.ErrNoStream, topic)
	}
	return found, nil
}

var _ bus.CursorLister = (*Bus)(nil)

// Cursors implements bus.CursorLister. It never waits.
func (b *Bus) Cursors(ctx context.Context, group string) (cursors []bus.Cursor, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for _, s := range b.streams {
		s.withLock(func(int64) {
			for _, sl := range s.slots {
				if c := sl.cursor; c != nil && sl.group == group {
					cursors = append(cursors, bus.Cursor{Topic: sl.topic, Pending: uint64(c.pending), Unsettled: uint64(len(c.out))})
				}
			}
		})
	}
	slices.SortFunc(cursors, func(a, b bus.Cursor) int { return cmp.Compare(a.Topic, b.Topic) })
	return cursors, nil
}
