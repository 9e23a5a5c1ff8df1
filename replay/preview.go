package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
)

// PreviewOptions of PreviewGroup. The zero value means the defaults.
type PreviewOptions struct {
	// Filter, Again and Limit are those of the replay.
	Filter Filter
	Again  string
	Limit  int
	// Subscription is the topic that the group subscribes to. Default: the one that is read.
	Subscription string
	// ID is the consumer.Options.ID of the group. Default: the events' identities; data is not read
	// then, unless the filter looks at it.
	ID func(bus.Event) string
	// Failed is called for each message that cannot be read as an event. Nil: nobody is.
	Failed func(at bus.Position, err error)
	// Progress is called after each look at the store. Nil: nobody is.
	Progress func(Preview)
}

// Preview is what a replay to a group would do.
type Preview struct {
	// Events are those that would be replayed, one that is stored twice counted twice; the next
	// five are what would become of them.
	Events int
	// WouldRun events have no mark: they were not handled, or so long ago that it was forgotten.
	WouldRun int
	// Done events are recognised, and would not run.
	Done int
	// Dead events were given up, and would not run: they are redriven.
	Dead int
	// Held events run now, wait for their retry, or cannot be marked now.
	Held int
	// Pending events have not reached the group yet: they run with or without the replay, once.
	Pending int
	// LeftOut are events that were selected and would not be replayed.
	LeftOut LeftOut
	// Dropped is an upper bound of the events that the stream dropped before they were read.
	Dropped uint64
	// Last is the position up to which events were read.
	Last bus.Position
}

// PreviewGroup counts what a replay to a group would do, by what the group's store knows now. It
// writes nothing. It blocks and retries as bus.Reader does, and not on the store's errors. Preview
// holds also beside an error; ErrIncomplete comes after everything that is there was counted.
func PreviewGroup(
	ctx context.Context, reader bus.Reader, store dedupe.Store, topic string, r bus.Range, group string, o *PreviewOptions,
) (Preview, error) {
	p := &previewer{o: *cmp.Or(o, &PreviewOptions{}), store: store, group: group}
	replay := Options{Filter: p.o.Filter, Again: p.o.Again, Limit: p.o.Limit}
	if err := replay.validate(&r); err != nil {
		return Preview{}, fmt.Errorf("preview of a replay of %q: %w", topic, err)
	}
	p.selector = newSelector(p.o.Filter, p.o.Failed)
	if err := p.readWatermarks(ctx, topic); err != nil {
		return Preview{}, err
	}
	err := errors.Join(p.countAll(ctx, p.read(ctx, reader, topic, r)), p.incomplete)
	if err != nil {
		err = fmt.Errorf("preview of a replay of %q: %w", topic, err)
	}
	return p.preview, err
}

// previewer counts what would become of events.
type previewer struct {
	selector

	o          PreviewOptions
	store      dedupe.Store
	group      string
	watermarks []bus.Position
	events     []bus.Position // to be looked up, with their keys
	keys       []dedupe.Key
	preview    Preview
}

// readWatermarks reads up to where the group has handled everything, if the store knows.
func (p *previewer) readWatermarks(ctx context.Context, topic string) error {
	w, ok := p.store.(dedupe.Watermarker)
	if !ok {
		return nil
	}
	kept, err := w.Watermarks(ctx, p.group, cmp.Or(p.o.Subscription, topic))
	for i := range kept {
		p.watermarks = append(p.watermarks, bus.Position(kept[i].Position))
	}
	return err
}

// read reads no data where it is not needed.
func (p *previewer) read(ctx context.Context, reader bus.Reader, topic string, r bus.Range) iter.Seq2[bus.Stored, error] {
	if p.o.ID != nil || p.o.Filter.Data != "" {
		return reader.Read(ctx, topic, r)
	}
	return readHeaders(ctx, reader, topic, r)
}

func (p *previewer) countAll(ctx context.Context, events iter.Seq2[bus.Stored, error]) error {
	for s, err := range events {
		if p.noteDropped(err) {
			continue
		}
		if err != nil {
			return err
		}
		if p.selects(&s) {
			p.addEvent(&s)
		}
		p.preview.Last = s.At
		full := p.preview.Events == p.o.Limit && p.o.Limit > 0
		if len(p.keys) < batchEvents && !full {
			continue
		}
		if err := p.lookUp(ctx); err != nil || full {
			return err
		}
	}
	return p.lookUp(ctx)
}

func (p *previewer) addEvent(s *bus.Stored) {
	p.preview.Events++
	id := s.Event.Identity()
	if p.o.ID != nil {
		id = p.o.ID(s.Event)
	}
	if id == "" {
		p.preview.Dead++ // it has no id of its own
		return
	}
	p.events = append(p.events, s.At)
	p.keys = append(p.keys, dedupe.Key{Topic: bus.LogicalTopic(s.Event.Topic), Group: p.group, ID: id, Scope: dedupe.AgainScope(p.o.Again)})
}

// lookUp counts what was collected by what the store knows of it.
func (p *previewer) lookUp(ctx context.Context) error {
	p.preview.LeftOut, p.preview.Dropped = p.leftOut, p.dropped
	if len(p.keys) > 0 {
		known, err := p.store.Seen(ctx, p.keys)
		if err != nil {
			return fmt.Errorf("look up marks: %w", err)
		}
		for i := range known {
			*p.countOf(&known[i], p.events[i])++
		}
	}
	p.keys, p.events = p.keys[:0], p.events[:0]
	if p.o.Progress != nil {
		p.o.Progress(p.preview)
	}
	return nil
}

// countOf returns where an event counts of which the store knows this. An event that is to run
// again runs for its copy, whether or not it is pending.
func (p *previewer) countOf(r *dedupe.Record, at bus.Position) *int {
	switch {
	case r.State == dedupe.Done:
		return &p.preview.Done
	case r.State == dedupe.Dead, r.State == dedupe.DeadLettering:
		return &p.preview.Dead
	case r.State == dedupe.Held, r.Err != nil:
		return &p.preview.Held
	case p.o.Again == "" && p.isPending(at):
		return &p.preview.Pending
	}
	return &p.preview.WouldRun
}

// isPending reports whether an event without a mark lies above the group's watermark.
func (p *previewer) isPending(at bus.Position) bool {
	known := func(w bus.Position) bool { return w.Stream == at.Stream }
	covers := func(w bus.Position) bool { return w.Covers(at) }
	return slices.ContainsFunc(p.watermarks, known) && !slices.ContainsFunc(p.watermarks, covers)
}
