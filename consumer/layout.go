package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onceish/onceish/bus"
)

// layoutWatch looks for events of a topic that lie outside of the layout that is read: on other
// subjects than its partitions.
type layoutWatch struct {
	// from is behind what strays are looked for next, by number of partitions; 0: the topic itself.
	// It is for watchLayout alone.
	from   map[int]bus.Position
	start  bus.Position // where the group would start in the stream of its partitions
	plain  bool         // the topic itself has a stream
	reader deliveryReader

	mu  sync.Mutex
	err error
}

// found returns what was found last.
func (w *layoutWatch) found() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// record notes what was found, and reports whether it was nothing before.
func (w *layoutWatch) record(err error) (isNews bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	isNews = w.err == nil
	w.err = err
	return isNews
}

// newLayoutWatch refuses to begin while events of another layout are not settled: they would run
// beside later events of their keys.
func (p *partitions) newLayoutWatch(ctx context.Context) (*layoutWatch, error) {
	if err := p.checkLayout(ctx); err != nil {
		return nil, err
	}
	w := &layoutWatch{from: make(map[int]bus.Position), reader: deliveryReader{o: p.options, group: p.group}}
	own, err := p.bus.Topic(ctx, p.subject(0), "", p.options.From)
	if err != nil {
		return nil, err
	}
	w.start = own.Start
	info, err := p.bus.Topic(ctx, p.subscribed, "", p.options.From)
	if w.plain = err == nil; w.plain {
		w.from[0] = info.Start
	}
	return w, nil
}

// layoutCheck is how often events outside of the layout are looked for.
const layoutCheck = time.Minute

// watchLayout is the loop that looks for events outside of the layout.
func (p *partitions) watchLayout(ctx context.Context) {
	ticker := time.NewTicker(layoutCheck)
	defer ticker.Stop()
	for {
		err := p.findStrays(ctx)
		if ctx.Err() != nil {
			return
		}
		if p.layout.record(err) && err != nil {
			p.options.Logger.Error("events lie outside of the layout that is read", "topic", p.subscribed, "group", p.group, "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// checkLayout returns ErrLayout if events of another layout are not settled.
func (c *common) checkLayout(ctx context.Context) error {
	cursors, err := c.listCursors(ctx)
	if err != nil {
		if errors.Is(err, errors.ErrUnsupported) && c.options.Order.needsSession() {
			c.options.Logger.Warn("the bus may not list the group's cursors, so it is unknown whether events of another layout are unsettled",
				"topic", c.subscribed, "group", c.group)
			return nil
		}
		return err
	}
	if others := c.otherLayouts(cursors); len(others) > 0 {
		return c.layoutError(others)
	}
	return nil
}

// checkPlainLayout is checkLayout for an order within a process. The cursors are listed only if the
// group may have read partitions of the topic: whoever never had an order over all processes needs
// no permission to list them. Where they cannot be listed nothing is refused.
func (c *common) checkPlainLayout(ctx context.Context) error {
	isLogical := bus.ValidTopic(c.subscribed) == nil && bus.LogicalTopic(c.subscribed) == c.subscribed
	if !isLogical { // a pattern, or a partition
		return nil
	}
	mayHaveRead, err := c.mayHaveReadPartitions(ctx)
	if err == nil && !mayHaveRead {
		return nil
	}
	if err == nil {
		err = c.checkLayout(ctx)
	}
	if err != nil && !errors.Is(err, ErrLayout) {
		c.options.Logger.Debug("the group's cursors could not be listed, so it is unknown whether events of another layout are unsettled",
			"topic", c.subscribed, "group", c.group, "error", err)
		return nil
	}
	return err
}

// mayHaveReadPartitions reports whether the group has a plan for partitions of the topic or,
// without a session that knows, whether something is stored where the topic's partitions lie.
func (c *common) mayHaveReadPartitions(ctx context.Context) (bool, error) {
	if c.options.Session != nil {
		return c.options.Session.HasPlan(ctx, c.subscribed)
	}
	finder, ok := c.bus.(bus.NextFinder)
	if !ok {
		return false, nil
	}
	info, err := c.bus.Topic(ctx, c.subscribed, c.group, c.options.From)
	if err != nil || info.Last.Sequence == 0 {
		return false, err
	}
	at, err := finder.FindNext(ctx, bus.PartitionsOf(c.subscribed), bus.Position{Stream: info.Last.Stream})
	return at.Sequence > 0, err
}

func (c *common) listCursors(ctx context.Context) ([]bus.Cursor, error) {
	lister, ok := c.bus.(bus.CursorLister)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return lister.Cursors(ctx, c.group)
}

// otherLayouts returns the cursors on the topic that are not of this layout, and have events that
// are not settled.
func (c *common) otherLayouts(cursors []bus.Cursor) (others []bus.Cursor) {
	for _, cursor := range cursors {
		p, ok := bus.ParsePartition(cursor.Topic)
		topic := cursor.Topic
		if ok {
			topic = p.Topic
		}
		if topic == c.subscribed && p.Of != c.options.Order.NumPartitions() && cursor.Pending+cursor.Unsettled > 0 {
			others = append(others, cursor)
		}
	}
	slices.SortFunc(others, func(a, b bus.Cursor) int { return cmp.Compare(a.Topic, b.Topic) })
	return others
}

// maxNamedCursors is how many cursors an error names.
const maxNamedCursors = 4

// layoutError says what of other layouts is unsettled, and what to do about it.
func (c *common) layoutError(others []bus.Cursor) error {
	var pending, unsettled uint64
	var named []string
	for i, cursor := range others {
		pending += cursor.Pending
		unsettled += cursor.Unsettled
		if i < maxNamedCursors {
			named = append(named, fmt.Sprintf("%q: %d", cursor.Topic, cursor.Pending+cursor.Unsettled))
		}
	}
	if n := len(others) - maxNamedCursors; n > 0 {
		named = append(named, fmt.Sprintf("and %d more", n))
	}
	order := ByKey
	if p, ok := bus.ParsePartition(others[0].Topic); ok {
		order = Partitions(p.Of)
	}
	return fmt.Errorf("%w: group %q has %d pending and %d unsettled events of topic %q outside of order %s (%s): "+
		"have processes with order %s handle them (worker run --order %s --until-empty), or wait for those that do (worker lag), and start then",
		ErrLayout, c.group, pending, unsettled, c.subscribed, c.options.Order, strings.Join(named, ", "), order, order)
}
