package explain

import (
	"context"
	"fmt"

	"github.com/onceish/onceish/outbox"
)

// maxRows bounds how many rows of one id are told of.
const maxRows = 20

// tellOutbox tells of the row that carried the event, and of rows that it has caused.
func (t *teller) tellOutbox(ctx context.Context) error {
	if t.sources.Outbox == nil {
		t.addMissing("whether an outbox carried it is not known, because there is none that could be looked into")
		return nil
	}
	carried, err := t.sources.Outbox.List(ctx, outbox.Filter{IDs: []string{t.story.ID}, Topic: t.q.Topic}, maxRows)
	if err != nil {
		return fmt.Errorf("look into the outbox: %w", err)
	}
	for i := range carried {
		if outbox.RowID(&carried[i].Event) == outbox.RowID(t.event()) {
			t.addOutboxRow(&carried[i], "")
		}
	}
	var ids []string
	for i := range t.rows {
		ids = append(ids, t.rows[i].key.String())
	}
	caused, err := t.sources.Outbox.List(ctx, outbox.Filter{IDs: ids}, maxRows)
	if err != nil {
		return fmt.Errorf("look into the outbox: %w", err)
	}
	for i := range caused {
		t.addOutboxRow(&caused[i], "as event of "+caused[i].Event.Topic+" that it has caused ")
	}
	t.addMissing("which other rows and which documents it has caused or changed is not known, because they do not say so, or cannot be looked up by it")
	return nil
}

func (t *teller) addOutboxRow(r *outbox.Row, what string) {
	l := Line{Time: r.Added, Source: FromOutbox, Event: "added", Text: fmt.Sprintf("added to the outbox %s(%s)", what, r.Status)}
	if what != "" {
		l.Topic, l.ID = r.Event.Topic, r.Event.ID
	}
	t.addLine(l)
	switch {
	case r.Status == outbox.Sent:
		l.Time, l.Event, l.Text = r.Sent, "sent", "sent from the outbox "+what
		t.addLine(l)
	case r.Reason != "":
		l.Event, l.Error = "refused", r.Reason
		l.Text = fmt.Sprintf("refused by the bus in the outbox %s(%s, %d attempts): %s", what, r.Status, r.Attempts, r.Reason)
		t.addLine(l)
	}
}
