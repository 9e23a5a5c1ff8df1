package provision

import (
	"context"
	"errors"
	"fmt"
)

// ErrIncomplete is returned by Plan.Apply when some items are not as they are to be: their Why or
// Error says why.
var ErrIncomplete = errors.New("not everything is provisioned")

// Kind is what an item is.
type Kind string

// The kinds.
const (
	KindStream     Kind = "stream"
	KindBucket     Kind = "bucket"
	KindCollection Kind = "collection"
	KindConsumer   Kind = "consumer"
)

// Action is what is to be done about an item.
type Action string

const (
	// Create makes what is not there.
	Create Action = "create"
	// Change changes what is there, and deletes nothing.
	Change Action = "change"
	// Keep is for what is as it is to be.
	Keep Action = "keep"
	// Refuse is for what would delete data, cannot be changed, or could not be looked at.
	Refuse Action = "refuse"
	// Manual is for what is left to somebody else.
	Manual Action = "manual"
)

// Field is what differs, or is made.
type Field struct {
	Name string `json:"name"`
	// Have is empty for what is made.
	Have string `json:"have,omitempty"`
	Want string `json:"want"`
}

// Item is one thing that the worker needs.
type Item struct {
	Kind   Kind    `json:"kind"`
	Name   string  `json:"name"`
	Action Action  `json:"action"`
	Fields []Field `json:"fields,omitempty"`
	// Why says why an item is refused, or left to somebody.
	Why string `json:"why,omitempty"`
	// Command does what is refused, or left to somebody. Empty: there is none.
	Command string `json:"command,omitempty"`
	// Applied reports that Apply has created or changed it.
	Applied bool `json:"applied,omitempty"`
	// Error is why Apply could not create or change it, and what to do.
	Error string `json:"error,omitempty"`
}

// Done reports whether the item is as it is to be, or left to somebody else.
func (i *Item) Done() bool { return i.Applied || i.Action == Keep || i.Action == Manual }

// part is what an item is about.
type part interface {
	// examine looks at what is there. It returns what does what the item says; nil: there is
	// nothing to do. It changes nothing.
	examine(ctx context.Context) (Item, func(context.Context) error)
}

// Plan is what there is to do. It is not safe for concurrent use.
type Plan struct {
	// Items in the order in which they are done.
	Items []Item
	parts []part
}

// examineParts makes a plan of parts.
func examineParts(ctx context.Context, parts []part) *Plan {
	p := &Plan{Items: make([]Item, len(parts)), parts: parts}
	for i := range parts {
		p.Items[i], _ = parts[i].examine(ctx)
	}
	return p
}

// Count returns how many items have the action.
func (p *Plan) Count(a Action) (n int) {
	for i := range p.Items {
		if p.Items[i].Action == a {
			n++
		}
	}
	return n
}

// Pending returns how many items are still to be created or changed.
func (p *Plan) Pending() (n int) {
	for i := range p.Items {
		if !p.Items[i].Done() && p.Items[i].Action != Refuse {
			n++
		}
	}
	return n
}

// Apply creates and changes what the plan says. Each item is looked at again before: what is there
// by now is kept, and what would be another change than the plan's is an error of the item. After
// an error the others go on. done is called with each item once it is dealt with; nil: nobody is
// told. An error is ErrIncomplete, or the end of ctx; it does not retry.
func (p *Plan) Apply(ctx context.Context, done func(Item)) error {
	undone := 0
	for i := range p.parts {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		item := &p.Items[i]
		applyItem(ctx, item, p.parts[i])
		if done != nil {
			done(*item)
		}
		if !item.Done() {
			undone++
		}
	}
	if undone > 0 {
		return fmt.Errorf("%w: %d of %d items refused or failed", ErrIncomplete, undone, len(p.Items))
	}
	return nil
}

// applyItem does what the item says, unless that is another thing by now.
func applyItem(ctx context.Context, item *Item, of part) {
	if item.Action != Create && item.Action != Change {
		return
	}
	now, do := of.examine(ctx)
	switch {
	case now.Action == Keep, now.Action == Refuse:
		*item = now // somebody else was faster, or has stored what would be deleted
	case now.Action != item.Action:
		item.Error = fmt.Sprintf("it has changed since it was looked at: it is now to %s; repeat", now.Action)
	default:
		*item = now
		if err := do(ctx); err != nil {
			item.Error = err.Error()
		} else {
			item.Applied = true
		}
	}
}
