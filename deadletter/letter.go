package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/consumer"
	"github.com/onceish/onceish/internal/cloudevents"
)

// Letter is a dead letter, and where it lies.
type Letter struct {
	consumer.Letter

	// Position of the letter on its topic; that of its event is At.
	Position bus.Position
	// SupersededBy is the ID of the newest edit of the letter, which FindEdits sets. Empty: there
	// is none, or it was not looked for.
	SupersededBy string

	loaded bool           // Event is complete
	parts  []bus.Position // known once it is loaded
}

// Load completes the event of a letter that was listed: its data, and what lies in parts. It reads
// the letter again, and parts by a search in the topic. It is bus.ErrNoEvent if the letter is gone,
// and consumer.ErrLetterPart if a part is missing. Repeated calls do nothing.
func (t *Topic) Load(ctx context.Context, l *Letter) error {
	if l.loaded {
		return nil
	}
	e, err := t.finder.Get(ctx, l.Position)
	if err != nil {
		return fmt.Errorf("letter %.128q on %q: %w", l.ID, t.name, err)
	}
	whole, err := consumer.ParseLetter(e)
	if err != nil {
		return fmt.Errorf("letter %.128q on %q: %w", l.ID, t.name, err)
	}
	l.Letter = *whole
	if l.Parts > 0 {
		if err := t.joinParts(ctx, l); err != nil {
			return err
		}
	}
	l.loaded = true
	return nil
}

// CheckData refuses data that is no JSON where the content type of the letter's event says that it
// is: bus.ErrInvalidEvent.
func (l *Letter) CheckData(data []byte) error {
	if cloudevents.IsJSON(l.Event.ContentType) && !json.Valid(data) {
		return fmt.Errorf("%w: the new data is no JSON, and the content type of the event is %s", bus.ErrInvalidEvent, l.Event.ContentType)
	}
	return nil
}

// partsTime is how long before a letter its parts are looked for first: they are stored just before
// it, unless an earlier attempt to store the letter was interrupted.
const partsTime = 10 * time.Minute

// joinParts completes the event from the parts. What it finds of them is kept also when some are
// missing.
func (t *Topic) joinParts(ctx context.Context, l *Letter) (err error) {
	for _, from := range []bus.From{{Time: l.Position.Stored.Add(-partsTime)}, {}} {
		var parts []bus.Event
		if parts, err = t.readParts(ctx, l, from); err != nil {
			return err
		}
		if err = l.Join(parts...); err == nil {
			return nil
		}
	}
	return err
}

// readParts reads the letter's parts, and notes their positions.
func (t *Topic) readParts(ctx context.Context, l *Letter, from bus.From) (parts []bus.Event, err error) {
	l.parts = nil
	for s, err := range t.reader.Read(ctx, t.name, bus.Range{From: from, Until: bus.Until{Position: l.Position}}) {
		if _, dropped := errors.AsType[*bus.DroppedError](err); dropped {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(s.Event.ID, l.ID+"/") {
			continue
		}
		if _, err := consumer.ParseLetter(s.Event); errors.Is(err, consumer.ErrLetterPart) {
			parts, l.parts = append(parts, s.Event), append(l.parts, s.At)
		}
	}
	return parts, nil
}
