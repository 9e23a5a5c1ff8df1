package mongo

import (
	"fmt"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/bsonevent"
	"github.com/onceish/onceish/internal/serverclock"
	"github.com/onceish/onceish/outbox"
)

// maxRow is the largest row in bytes: the 16 MiB of a document, less what settling adds.
const maxRow = 16<<20 - 64<<10

// storedRow is a row as a document has it. Times are in whole milliseconds, as the server has them.
type storedRow struct {
	RowID           string `bson:"_id"`
	bsonevent.Event `bson:",inline"`
	Hash            int64     `bson:"hash"`
	Seq             int64     `bson:"seq"`
	Time            time.Time `bson:"time,omitempty"`
	Nanos           int32     `bson:"nanos,omitempty"` // what Time has beyond its milliseconds
	Status          string    `bson:"status"`
	Version         int64     `bson:"version"`
	Attempts        int32     `bson:"attempts"`
	Due             time.Time `bson:"due,omitempty"`
	At              time.Time `bson:"at,omitempty"`        // from when on it may be published
	Scheduled       int64     `bson:"scheduled,omitempty"` // its seq, while it is scheduled
	Reason          string    `bson:"reason,omitempty"`
	Copies          int64     `bson:"copies,omitempty"`
	Added           time.Time `bson:"ts"`
	Sent            time.Time `bson:"sent_at,omitempty"`
	Now             time.Time `bson:"now,omitempty"` // when it was read; never written
}

// newStored is a row that is added; its seq is yet to be assigned if it has none.
func newStored(in *outbox.Row, at serverclock.Instant) *storedRow {
	own := bus.DropForeignControl(in.Event)
	e := &own
	s := &storedRow{
		RowID: outbox.RowID(e), Event: bsonevent.New(e), Hash: int64(outbox.Hash(e.Key, e.ID)), Seq: int64(in.Seq),
		Status: outbox.Pending.String(), Added: at.Time,
	}
	if !e.Time.IsZero() {
		s.Time = e.Time.UTC().Truncate(time.Millisecond)
		s.Nanos = int32(e.Time.Sub(s.Time))
	}
	return s
}

// newAdded checks a row that is added, at a place in its call, and makes a document of it.
func newAdded(in *outbox.Row, place int, at serverclock.Instant) (*storedRow, error) {
	if err := checkRow(in); err != nil {
		return nil, err
	}
	due, err := in.DueOn(at.Time)
	if err != nil {
		return nil, err
	}
	s := newStored(in, at)
	if !due.IsZero() {
		s.scheduleAt(due, place)
	}
	return s, nil
}

// toRow is what the contract calls one.
func (s *storedRow) toRow() outbox.Row {
	r := outbox.Row{
		ID: s.RowID, Event: s.toEvent(), Seq: uint64(max(0, s.Seq)), Hash: uint64(max(0, s.Hash)), Status: outbox.ParseStatus(s.Status), Version: uint64(max(0, s.Version)),
		Attempts: int(s.Attempts), Reason: s.Reason, Copies: uint64(max(0, s.Copies)), Added: s.Added, Sent: s.Sent, At: s.At,
	}
	if r.Status == outbox.Scheduled {
		r.After = max(0, s.At.Sub(s.Now))
	}
	if r.Status == outbox.Pending && !s.Due.IsZero() {
		r.After = max(0, s.Due.Sub(s.Now))
	}
	return r
}

func (s *storedRow) toEvent() bus.Event {
	e := s.Decode()
	if !s.Time.IsZero() {
		e.Time = s.Time.UTC().Add(time.Duration(s.Nanos))
	}
	return e
}

func (s *storedRow) isSameEvent(o *storedRow) bool {
	a, b := s.toEvent(), o.toEvent()
	return outbox.SameEvent(&a, &b)
}

func checkRow(in *outbox.Row) error {
	if err := bsonevent.Check(&in.Event); err != nil {
		return err
	}
	if in.Seq > math.MaxInt64 {
		return fmt.Errorf("event %.64q: Seq is %d: it must be from 0 (assigned) to %d", in.Event.ID, in.Seq, math.MaxInt64)
	}
	return nil
}

func (s *storedRow) encodeDocument() (bson.Raw, error) {
	doc, err := bson.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("event %.64q for topic %q: %w", s.ID, s.Topic, err)
	}
	if len(doc) > maxRow {
		return nil, fmt.Errorf("event %.64q for topic %q: %w: its row has %d bytes, at most %d are taken: send less, or a reference to it",
			s.ID, s.Topic, bus.ErrTooLarge, len(doc), maxRow)
	}
	return doc, nil
}
