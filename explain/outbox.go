package explain

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/outbox"
)

// maxRows bounds how many rows of one id a story has.
const maxRows = 20

// addOutbox adds the row that carried the event, and the rows that it has caused.
func (b *storyBuilder) addOutbox(ctx context.Context) error {
	if b.sources.Outbox == nil {
		b.addMissing("whether an outbox carried it is not known, because no outbox was found or named")
		return nil
	}
	carried, err := b.sources.Outbox.List(ctx, outbox.Filter{IDs: []string{b.story.ID}, Topic: b.q.Topic}, maxRows)
	if err != nil {
		return fmt.Errorf("look into the outbox: %w", err)
	}
	for i := range carried {
		if outbox.RowID(&carried[i].Event) == outbox.RowID(b.event()) {
			b.addOutboxRow(&carried[i], "")
		}
	}
	var ids []string
	for i := range b.rows {
		ids = append(ids, b.rows[i].key.String())
	}
	caused, err := b.sources.Outbox.List(ctx, outbox.Filter{IDs: ids}, maxRows)
	if err != nil {
		return fmt.Errorf("look into the outbox: %w", err)
	}
	for i := range caused {
		b.addOutboxRow(&caused[i], "as event of "+caused[i].Event.Topic+" that it has caused ")
	}
	b.addMissing("which other rows and which documents it has caused or changed is not known, because they do not say so, or cannot be looked up by it")
	return nil
}

func (b *storyBuilder) addOutboxRow(r *outbox.Row, what string) {
	l := Line{Time: r.Added, Source: FromOutbox, Event: "added", Text: fmt.Sprintf("added to the outbox %s(%s)", what, r.Status)}
	if what != "" {
		l.Topic, l.ID = r.Event.Topic, r.Event.ID
	}
	b.addLine(l)
	switch {
	case r.Status == outbox.Sent:
		l.Time, l.Event, l.Text = r.Sent, "sent", "sent from the outbox "+what
		b.addLine(l)
	case r.Status == outbox.Scheduled:
		l.Time, l.Event, l.Text = r.At, "due", "due for publishing from the outbox "+what
		b.addLine(l)
	case r.Reason != "":
		l.Event, l.Error = "refused", r.Reason
		l.Text = fmt.Sprintf("refused by the bus in the outbox %s(%s, %d attempts): %s", what, r.Status, r.Attempts, r.Reason)
		b.addLine(l)
	}
}
