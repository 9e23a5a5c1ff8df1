package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	natsbus "github.com/onceish/onceish/bus/jetstream"
	"github.com/onceish/onceish/dedupe"
	kvdedupe "github.com/onceish/onceish/dedupe/kv"
	"github.com/onceish/onceish/explain"
	"github.com/onceish/onceish/group"
)

// ExplainOptions of Connections.Explain. The zero value means the defaults.
type ExplainOptions struct {
	// DeadLetter is the dead-letter topic of the group. Empty: "dead.GROUP".
	DeadLetter string
	// Outbox is the collection of the outbox. Empty: OutboxCollection.
	Outbox string
}

// Explain returns where the events of a group are looked up, with the group as it stands: its
// cursors on the bus, its members and pauses, its marks in the store of the connections, its dead
// letters, and the outbox in the database of the marks. It makes no stream, bucket of marks or
// outbox that is missing. A group that has no marks in the store has Sources.Marks nil, and so may
// have one whose marks are kept elsewhere. A group that nothing consumes as is no error.
func (c *Connections) Explain(ctx context.Context, name string, o *ExplainOptions) (*explain.Sources, error) {
	o = cmp.Or(o, &ExplainOptions{})
	out := &explain.Sources{Bus: c.bus, Group: explain.Group{Name: name}}
	var err error
	if out.Letters, err = c.DeadLetters(name, o.DeadLetter); err != nil {
		return nil, err
	}
	if out.Group.Cursors, err = c.cursorsOf(ctx, name); err != nil {
		return nil, err
	}
	groups, err := c.GroupStore(ctx)
	if err != nil {
		return nil, err
	}
	if out.Group.Members, err = group.Members(ctx, groups, name); err != nil {
		return nil, err
	}
	if out.Group.Pauses, err = group.Pauses(ctx, groups, name); err != nil {
		return nil, err
	}
	if out.Marks, err = c.groupInspector(ctx, name, out.Group.Cursors); err != nil {
		return nil, err
	}
	out.MarksName = c.StoreName()
	box, err := c.OutboxAdmin(ctx, o.Outbox)
	switch {
	case err == nil:
		out.Outbox = box.Admin
	case !errors.Is(err, ErrNoOutbox):
		return nil, err
	}
	return out, nil
}

// cursorsOf is where a group stands on each of its topics.
func (c *Connections) cursorsOf(ctx context.Context, name string) (out []explain.Cursor, err error) {
	groups, err := c.Groups(ctx)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		if g := &groups[i]; g.Name == name {
			out = append(out, newCursor(g))
		}
	}
	return out, nil
}

func newCursor(g *natsbus.Group) explain.Cursor {
	return explain.Cursor{
		Topic: g.Topic, Floor: g.Floor, Delivered: g.Delivered, Pending: g.Pending, Unsettled: g.Unsettled, PausedFor: g.PausedFor, Now: g.Now,
	}
}

// groupInspector is the store, if it keeps something of the group: one that has run has a watermark
// on each topic at least.
func (c *Connections) groupInspector(ctx context.Context, name string, cursors []explain.Cursor) (dedupe.Inspector, error) {
	store, err := c.existingStore(ctx)
	if errors.Is(err, kvdedupe.ErrNoBucket) {
		return nil, nil //nolint:nilnil // no marks
	}
	if err != nil {
		return nil, err
	}
	inspector, ok := store.(dedupe.Inspector)
	watermarks, has := store.(dedupe.Watermarker)
	if !ok || !has {
		return nil, fmt.Errorf("a %T does not say what it keeps, or keeps no watermarks: %w", store, errors.ErrUnsupported)
	}
	for i := range cursors {
		kept, err := watermarks.Watermarks(ctx, name, cursors[i].Topic)
		if err != nil {
			return nil, err
		}
		if len(kept) > 0 {
			return inspector, nil
		}
	}
	if len(cursors) == 0 {
		return inspector, nil
	}
	return nil, nil //nolint:nilnil // its marks are elsewhere, or there are none
}
