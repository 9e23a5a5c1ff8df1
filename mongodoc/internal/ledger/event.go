package ledger

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/bsonevent"
)

// EventID is the id of the i-th event, from 0, of an event's change of a document: the same
// whenever it is made. It is a UUID of version 8.
func EventID(key dedupe.Key, step, document string, i int) string {
	b := digestParts(append(keyParts(key), step, document, strconv.Itoa(i))...)
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

type waitingEvent struct {
	Event   bsonevent.Event `bson:",inline"`
	Added   int64           `bson:"added"`          // nanoseconds since 1970
	Seconds int64           `bson:"time,omitempty"` // since 1970
	Nanos   int64           `bson:"nanos,omitempty"`
}

// NewEvent is the document of an event that is added at this time. An event that could not be
// published later is bus.ErrInvalidEvent, one for which a row has no room bus.ErrTooLarge.
func NewEvent(in *bus.Event, at time.Time) (bson.Raw, error) {
	if err := bsonevent.Check(in); err != nil {
		return nil, err
	}
	e := bus.DropForeignControl(*in)
	w := waitingEvent{Event: bsonevent.New(&e), Added: at.UnixNano()}
	if !e.Time.IsZero() {
		w.Seconds, w.Nanos = e.Time.Unix(), int64(e.Time.Nanosecond())
		if w.Seconds == 0 && w.Nanos == 0 {
			w.Nanos = 1 // 1970 to the nanosecond, which would read as no time
		}
	}
	doc, err := bson.Marshal(w)
	if err == nil && len(doc) > maxEvent {
		err = fmt.Errorf("event %.64q for topic %q: %w: it has %d bytes, at most %d can wait in a document: send less, or a reference to it",
			e.ID, e.Topic, bus.ErrTooLarge, len(doc), maxEvent)
	}
	return doc, err
}

// maxEvent leaves room for what an outbox adds to an event: what waits can become a row.
const maxEvent = 16<<20 - 128<<10

// Event is an event that waits.
type Event struct {
	Event bus.Event
	// Added is when it was added, in nanoseconds since 1970.
	Added int64
}

// ParseEvent reads what NewEvent made.
func ParseEvent(v bson.RawValue) (Event, error) {
	var w waitingEvent
	doc, ok := v.DocumentOK()
	if !ok {
		return Event{}, fmt.Errorf("%w: an event is of type %v", ErrMalformed, v.Type)
	}
	if err := bson.Unmarshal(doc, &w); err != nil {
		return Event{}, fmt.Errorf("%w: an event: %w", ErrMalformed, err)
	}
	e := Event{Added: w.Added, Event: w.Event.Decode()}
	if w.Seconds != 0 || w.Nanos != 0 {
		e.Event.Time = time.Unix(w.Seconds, w.Nanos).UTC()
	}
	if err := bsonevent.Check(&e.Event); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return e, nil
}
