package mongo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/serverclock"
	"github.com/onceish/onceish/outbox"
)

// RefusedError is returned by AddMoved when rows cannot be stored, however often it is tried.
type RefusedError struct {
	// Rows are their places in the argument.
	Rows []int
	// Err says why the first of them cannot.
	Err error
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// AddMoved is AddRowsAlone for events that waited elsewhere, each with the Seq that it has there,
// and that nobody can be asked about. An event in whose place another event is becomes a dead row
// with a place of its own: the same one each time. dead are the places of such rows in the
// argument. After a *RefusedError some of the others may be added; call it again without the
// refused ones. Each round trip has the whole of Options.Timeout, within what ctx has left.
func (q *Queue) AddMoved(ctx context.Context, rows []outbox.Row) (dead []int, err error) {
	at, err := q.clock.Read(ctx)
	if err != nil {
		return nil, q.callFailed("add moved events", err)
	}
	additions, keyed, err := movedRows(rows, at)
	if err == nil {
		err = q.insertRows(ctx, slices.Clone(additions), keyed, parkAddition)
	}
	if no, is := errors.AsType[*refusedRowsError](err); is {
		return nil, &RefusedError{Rows: no.placesOf(additions), Err: no}
	}
	if err != nil {
		return nil, q.callFailed("add moved events", err)
	}
	for _, a := range additions {
		if a.Status == outbox.Dead.String() {
			dead = append(dead, a.place)
		}
	}
	return dead, nil
}

// movedRows makes documents of rows. An event that is there twice is one; of two events that would
// have one row, all but the first are parked. keyed: some have a key in common.
func movedRows(rows []outbox.Row, at serverclock.Instant) (additions []rowAddition, keyed bool, err error) {
	there, keys := map[string]*storedRow{}, map[string]bool{}
	for i := range rows {
		s := newStored(&rows[i], at)
		if before := there[s.RowID]; before != nil && !before.isSameEvent(s) {
			s.makeParked()
		}
		if there[s.RowID] != nil {
			continue
		}
		there[s.RowID] = s
		keyed = keyed || s.Key != "" && keys[s.Key]
		keys[s.Key] = true
		doc, err := s.encodeDocument()
		additions = append(additions, rowAddition{storedRow: s, doc: doc, place: i})
		if err != nil {
			return additions, keyed, &refusedRowsError{rows: []*storedRow{s}, why: err}
		}
	}
	return additions, keyed, nil
}

// parkedReason is why a row is dead that could not be added under its event's own id.
const parkedReason = "the outbox has another event with this topic, source and id, and consumers that deduplicate would take this one for that: " +
	"drop it, or retry it to have it published all the same"

// makeParked makes a row a dead one that has a place beside the row of another event with the same
// topic, source and id: each time it is made the same place.
func (s *storedRow) makeParked() {
	e := s.toEvent()
	s.RowID = outbox.RowID(&e)
	if e.Source == "" || e.Source == bus.DefaultSource {
		s.RowID += " " // the source, which is empty in no RowID
	}
	sum := sha256.Sum256([]byte(bus.MessageID(&e)))
	s.RowID += " " + hex.EncodeToString(sum[:16])
	s.Status, s.Reason = outbox.Dead.String(), parkedReason
}

// parkAddition makes an addition that clashes with another event a dead row, in place of an error.
func parkAddition(a *rowAddition) (err error) {
	a.makeParked()
	a.doc, err = a.encodeDocument()
	return err
}
