package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/uuid7"
)

// ErrNotCopied is returned by ToGroup and ToTopic when copies are not on the bus, or not known to
// be.
var ErrNotCopied = errors.New("not all copies were stored")

// Options of ToGroup and ToTopic. The zero value means the defaults.
type Options struct {
	// Filter selects events. Default: all.
	Filter Filter
	// Again (ToGroup) is the scope in which the events run a second time on purpose, as
	// bus.Control.Again. Default: none; what the group has done is not run.
	Again string
	// Layout is in how many partitions the copies' topics are published: for a group, those that it
	// reads. Default: copies for a group go where their events were read, and those to a topic to
	// the topic itself.
	Layout bus.Layout
	// Limit is how many events are replayed at most. Default: all.
	Limit int
	// PerSecond is how many events are replayed in a second at most. Default: as many as possible.
	PerSecond float64
	// Patience is how long publishing is tried again while nothing gets stored. Default: 30 s.
	Patience time.Duration
	// Failed is called for each event that is left out because it cannot be read, or because the
	// bus refuses its copy for good. Nil: nobody is.
	Failed func(at bus.Position, err error)
	// Progress is called after each batch, by the goroutine that replays. Nil: nobody is.
	Progress func(Replayed)
	// ForceStop, once closed, gives up what the end of ctx leaves a few seconds for. Nil: never.
	ForceStop <-chan struct{}
}

// Replayed is what became of a replay.
type Replayed struct {
	// Run names the copies of this replay; empty from ToTopic.
	Run string
	// Stored copies are on the bus; Duplicates of them were there already.
	Stored, Duplicates int
	// Refused copies can never be stored as they are, for example because they are too large.
	Refused int
	// LeftOut are events that were selected and are not replayed.
	LeftOut LeftOut
	// Dropped is an upper bound of the events that the stream dropped before they were read.
	Dropped uint64
	// Last is the position up to which everything was replayed, refused or left out: a later replay
	// goes on after it. Zero: nothing was read.
	Last bus.Position
}

// ToGroup publishes copies of a topic's events, which may be a pattern, for one group alone: the
// other groups acknowledge them unrun, and the bus stores them although it knows the events. What
// the group has a mark of it recognises and does not run, unless Options.Again names a scope; see
// "Delivery semantics". The caller makes sure that the group is there.
//
// It reads up to the end of the stream as it was when it began, so it does not meet its own copies.
// It blocks until every copy is confirmed or refused, retries what may pass, and returns Replayed
// also beside an error. ErrNotCopied: a copy is not known to be stored. ErrIncomplete comes after
// everything that is there was replayed.
func ToGroup(ctx context.Context, b bus.Bus, topic string, r bus.Range, group string, o *Options) (Replayed, error) {
	opts := *cmp.Or(o, &Options{})
	if group == "" {
		return Replayed{}, errors.New("replay: the group is empty: name one")
	}
	c, err := newCopier(b, topic, &r, &opts)
	if err != nil {
		return Replayed{}, err
	}
	run := uuid7.New(time.Now())
	c.toCopy = func(s *bus.Stored) bus.Event {
		e := s.Event
		if opts.Layout != nil {
			e = opts.Layout.Place(e)
		}
		return e.WithControl(bus.Control{Group: group, Copy: run, Again: opts.Again, Original: s.Original().String()})
	}
	c.check = func(ctx context.Context) error {
		info, err := b.Topic(ctx, topic, "", bus.Start{})
		if l := readLayout(topic); opts.Layout != nil && l.Of != opts.Layout[l.Topic] && bus.ValidTopic(l.Topic) == nil {
			info, err = b.Topic(ctx, placeOf(opts.Layout, l.Topic), "", bus.Start{})
		}
		if err == nil && info.ReadOnly {
			err = errors.New("its stream takes nothing that is published to the topic: replay from the stream that does")
		}
		return err
	}
	c.replayed.Run = run
	return c.copyAll(ctx, topic, r)
}

// ToTopic publishes a topic's events to another topic, under their ids, sources, keys, types and
// times, with their data and headers, and without control headers. A repeat is recognised by the
// bus for as long as it remembers message ids, and by groups for as long as they keep marks. The
// topic must be one, for under two topics there may be two events of one id; it is read with its
// partitions. It must not be the target, unless the events move to another layout of it: from the
// topic itself or from one layout, such as "order.placed.of8.>", to the one that Options.Layout
// says. They are the same events there, which a group that has handled them recognises; the bus
// stores them although it knows them, and a repeat once for as long as it remembers message ids. It
// reads, blocks, retries and returns as ToGroup does.
func ToTopic(ctx context.Context, b bus.Bus, topic string, r bus.Range, target string, o *Options) (Replayed, error) {
	opts := *cmp.Or(o, &Options{})
	from := readLayout(topic)
	if err := errors.Join(bus.ValidTopic(from.Topic), bus.ValidTopic(target)); err != nil {
		return Replayed{}, fmt.Errorf("replay to a topic: %w", err)
	}
	moved := from.Topic == target
	switch {
	case moved && opts.Layout[target] == from.Of:
		return Replayed{}, fmt.Errorf("replay of %q to the same topic: name another one, a group, or another layout", topic)
	case opts.Again != "":
		return Replayed{}, errors.New("replay to a topic: Options.Again is for a group: leave it empty")
	}
	r.Partitions = !moved
	c, err := newCopier(b, topic, &r, &opts)
	if err != nil {
		return Replayed{}, err
	}
	c.toCopy = func(s *bus.Stored) bus.Event {
		e := s.Event.WithoutControl()
		if !moved {
			e.Topic = target
		}
		if e = opts.Layout.Place(e); moved {
			return e.WithControl(bus.Control{Copy: fmt.Sprintf("of%d", opts.Layout[target])})
		}
		return e
	}
	c.check = func(ctx context.Context) error {
		_, err := b.Topic(ctx, placeOf(opts.Layout, target), "", bus.Start{}) // makes a missing stream, where the bus is to
		return err
	}
	return c.copyAll(ctx, topic, r)
}

// readLayout is the topic that is read, and its layout; Of is 0 where it is the topic itself.
func readLayout(topic string) bus.Partition {
	for _, all := range []string{".>", ".*"} {
		if prefix, ok := strings.CutSuffix(topic, all); ok {
			if p, ok := bus.ParsePartition(prefix + ".0"); ok {
				return p
			}
		}
	}
	if p, ok := bus.ParsePartition(topic); ok {
		return p
	}
	return bus.Partition{Topic: topic}
}

// placeOf is where some of the topic's events are published.
func placeOf(layout bus.Layout, topic string) string {
	return bus.Partition{Topic: topic, Of: layout[topic]}.Name()
}

// validate says why there cannot be such a replay.
func (o *Options) validate(r *bus.Range) error {
	switch {
	case r.HeadersOnly:
		return errors.New("Range.HeadersOnly is set, and data would be lost: leave it false")
	case r.Until.Follow:
		return errors.New("Range.Until.Follow is set, and the replay would meet its own copies: leave it false")
	case o.Limit < 0 || o.PerSecond < 0 || o.Patience < 0:
		return fmt.Errorf("Options.Limit is %d, Options.PerSecond %v and Options.Patience %v: they must be 0 or above", o.Limit, o.PerSecond, o.Patience)
	case o.Again != "":
		if err := bus.ValidAgain(o.Again); err != nil {
			return fmt.Errorf("Options.Again: %w", err)
		}
	}
	return o.Filter.Validate()
}
