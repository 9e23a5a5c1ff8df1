package mongo

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/outbox"
)

// parkedReason is why a row is dead that a mover could not add under its event's own id.
const parkedReason = "the outbox has another event with this topic, source and id, and consumers that deduplicate would take this one for that: " +
	"drop it, or retry it to have it published all the same"

// park makes a row a dead one that has a place beside the row of another event with the same topic,
// source and id: each time it is made the same place.
func (s *stored) park() {
	e := s.event()
	s.RowID = outbox.RowID(&e)
	if e.Source == "" || e.Source == bus.DefaultSource {
		s.RowID += " " // the source, which is empty in no RowID
	}
	sum := sha256.Sum256([]byte(bus.MessageID(&e)))
	s.RowID += " " + hex.EncodeToString(sum[:16])
	s.Status, s.Reason = outbox.Dead.String(), parkedReason
}

// parked makes an addition that clashes with another event a dead row, in place of an error.
func parked(a *addition) (err error) {
	a.park()
	a.doc, err = a.document()
	return err
}
