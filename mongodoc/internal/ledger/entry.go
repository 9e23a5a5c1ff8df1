package ledger

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// ErrMalformed is returned for what is no ledger: somebody else wrote the reserved field.
var ErrMalformed = errors.New("the field " + Field + " is not as it was written")

// Entry is an event whose change is applied. Times are in milliseconds, as the server has them.
type Entry struct {
	// Mark is what Mark made.
	Mark string
	// ID of the event's dedupe row; empty once Done is known.
	ID string
	// Until is when the TTL is over.
	Until int64
	// Done is when the dedupe row was seen done. 0: it was not.
	Done int64
}

// NewEntry is the document of an Entry.
func NewEntry(mark bson.Binary, row string, until time.Time) bson.D {
	return bson.D{{Key: "k", Value: mark}, {Key: "id", Value: row}, {Key: "until", Value: bson.NewDateTimeFromTime(until)}}
}

// Document is the entry as it is kept.
func (e *Entry) Document() bson.D {
	d := bson.D{{Key: "k", Value: bson.Binary{Data: []byte(e.Mark)}}}
	if e.Done == 0 {
		d = append(d, bson.E{Key: "id", Value: e.ID})
	}
	d = append(d, bson.E{Key: "until", Value: bson.DateTime(e.Until)})
	if e.Done != 0 {
		d = append(d, bson.E{Key: "done", Value: bson.DateTime(e.Done)})
	}
	return d
}

// ParseEntries reads what is at Applied; an absent one has none.
func ParseEntries(v bson.RawValue) ([]Entry, error) {
	if v.IsZero() || v.Type == bson.TypeNull {
		return nil, nil
	}
	a, ok := v.ArrayOK()
	if !ok {
		return nil, fmt.Errorf("%w: %s is of type %v", ErrMalformed, Applied, v.Type)
	}
	values, err := a.Values()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrMalformed, Applied, err)
	}
	entries := make([]Entry, len(values))
	for i, v := range values {
		if !entries[i].parseDocument(v) {
			return nil, fmt.Errorf("%w: %s.%d is %v", ErrMalformed, Applied, i, v)
		}
	}
	return entries, nil
}

func (e *Entry) parseDocument(v bson.RawValue) bool {
	d, ok := v.DocumentOK()
	if !ok {
		return false
	}
	_, mark, ok := d.Lookup("k").BinaryOK()
	if !ok {
		return false
	}
	e.Mark = string(mark)
	e.ID, _ = d.Lookup("id").StringValueOK()
	e.Done, _ = d.Lookup("done").DateTimeOK()
	e.Until, ok = d.Lookup("until").DateTimeOK()
	return ok
}
