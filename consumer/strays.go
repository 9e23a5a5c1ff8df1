package consumer

import (
	"context"
	"fmt"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// findStrays returns an error that says which events of the topic nobody reads in this layout.
func (p *partitions) findStrays(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.options.Lease)
	defer cancel()
	cursors, err := p.listCursors(ctx)
	if err != nil {
		p.options.Logger.Debug("events outside of the layout were not looked for; retrying", "topic", p.subscribed, "error", err)
		return p.layout.found()
	}
	if others := p.otherLayouts(cursors); len(others) > 0 {
		return p.layoutError(others)
	}
	for _, n := range p.unreadLayouts(ctx, cursors) {
		if err := p.findUnread(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// unreadLayouts returns the numbers of partitions in which the topic has events, and the group has
// no cursor; 0: the topic itself. A bus that may not look finds none.
func (p *partitions) unreadLayouts(ctx context.Context, cursors []bus.Cursor) (unread []int) {
	isRead := map[int]bool{p.options.Order.NumPartitions(): true}
	for _, c := range cursors {
		if part, ok := bus.ParsePartition(c.Topic); ok && part.Topic == p.subscribed {
			isRead[part.Of] = true
		} else if c.Topic == p.subscribed {
			isRead[0] = true
		}
	}
	if p.layout.plain {
		unread = append(unread, 0)
	}
	if finder, ok := p.bus.(bus.LayoutFinder); ok {
		numbers, err := finder.FindLayouts(ctx, p.subscribed, p.layout.start)
		if err != nil {
			p.options.Logger.Debug("other layouts were not looked for; retrying", "topic", p.subscribed, "error", err)
		}
		unread = append(unread, numbers...)
	}
	return slices.DeleteFunc(unread, func(n int) bool { return isRead[n] })
}

// findUnread looks for an event in a layout that the group has never read.
func (p *partitions) findUnread(ctx context.Context, layout int) error {
	at, err := p.nextUnhandled(ctx, layout)
	if err != nil || at.Sequence == 0 {
		return nil //nolint:nilerr // it is looked again, and a bus that may not look finds nothing
	}
	where, order, from := fmt.Sprintf("%q itself", p.subscribed), ByKey, p.subscribed
	if layout > 0 {
		where, order = fmt.Sprintf("%q in %d partitions", p.subscribed, layout), Partitions(layout)
		from = layoutPattern(p.subscribed, layout)
	}
	return fmt.Errorf("%w: an event was published to %s (sequence %d, stored at %v), where order %s does not read: "+
		"have processes with order %s handle what is there, if the number changes; else mend the publisher (bus.Partitioned), and move its events (worker replay '%s' --to-topic %s%s)",
		ErrLayout, where, at.Sequence, at.Stored, p.options.Order, order, from, p.subscribed, p.partitionsFlag())
}

func (p *partitions) partitionsFlag() string {
	if n := p.options.Order.NumPartitions(); n > 0 {
		return fmt.Sprintf(" --partitions %d", n)
	}
	return ""
}

// layoutPattern is the pattern of all events of a layout.
func layoutPattern(topic string, partitions int) string {
	return fmt.Sprintf("%s.of%d.>", topic, partitions)
}

// maxStraysPassed is how many events that were handled elsewhere are passed in one look.
const maxStraysPassed = 1000

// nextUnhandled finds the first event of a layout that the group has not handled: what was moved
// into the group's layout stays where it was published. A position of sequence 0: there is none.
func (p *partitions) nextUnhandled(ctx context.Context, layout int) (bus.Position, error) {
	finder, ok := p.bus.(bus.NextFinder)
	if !ok {
		return bus.Position{}, nil
	}
	pattern := p.subscribed
	if layout > 0 {
		pattern = layoutPattern(p.subscribed, layout)
	}
	from, known := p.layout.from[layout]
	if !known {
		from = p.layout.start
	}
	for range maxStraysPassed {
		at, err := finder.FindNext(ctx, pattern, from)
		if err != nil || at.Sequence == 0 {
			return at, err
		}
		if !at.Stored.Before(p.options.From.Time) && !p.isHandled(ctx, at) {
			return at, nil
		}
		from = at
		p.layout.from[layout] = from
	}
	return bus.Position{}, nil
}

// isHandled reports whether the group has handled the event at a position, or is not to.
func (p *partitions) isHandled(ctx context.Context, at bus.Position) bool {
	finder, ok := p.bus.(bus.Finder)
	if !ok {
		return false
	}
	event, err := finder.Get(ctx, at)
	if err != nil {
		return false
	}
	a := p.layout.reader.toArrival(bus.NewDelivery(event, 1, at, nil))
	if a.Foreign {
		return true
	}
	records, err := p.store.Seen(ctx, []dedupe.Key{a.Key})
	return err == nil && len(records) == 1 && (records[0].State == dedupe.Done || records[0].State == dedupe.Dead)
}
