package memory

import (
	"math"

	"github.com/onceish/onceish/dedupe"
)

// keyRow is what is kept of a key. It holds no pointers, so that the garbage collector passes a
// million of them by.
type keyRow struct {
	id      keyID
	hash    [32]byte
	owner   uint64 // hash of the nonce; 0: nobody
	token   uint64
	since   int64 // times are nanoseconds since the store was made
	until   int64 // end of the lease; free: due
	expires int64

	attempts uint32
	crashes  uint16
	phase    dedupe.Phase
	hashLen  uint8 // 0: none; longHash: in the row's extra
}

// longHash says that a hash is longer than a row has room for.
const longHash = math.MaxUint8

// rowExtra is what few rows have.
type rowExtra struct {
	hash           []byte
	reason, letter string
	note           string
	history        []dedupe.Attempt
}

const chunkRows = 256

// rowChunk holds rows that were mostly inserted, and so mostly expire, at about the same time. It
// fills one of the runtime's size classes exactly.
type rowChunk [chunkRows]keyRow

// rowTable keeps rows by id. Slots of what has expired are used again; memory is not given back.
type rowTable struct {
	slots  map[keyID]uint32
	chunks []*rowChunk
	// earliest is at or before the first expiry in each chunk.
	earliest  []int64
	unused    []uint32
	extras    map[uint32]*rowExtra
	sweepNext int // the chunk that is swept next
}

func newTable() rowTable {
	return rowTable{slots: make(map[keyID]uint32), extras: make(map[uint32]*rowExtra)}
}

func (t *rowTable) rowCount() int { return len(t.slots) }

func (t *rowTable) rowAt(slot uint32) *keyRow { return &t.chunks[slot/chunkRows][slot%chunkRows] }

// findRow is nil where the key is absent or expired.
func (t *rowTable) findRow(k keyID, now int64) (*keyRow, uint32) {
	slot, ok := t.slots[k]
	if !ok {
		return nil, 0
	}
	if r := t.rowAt(slot); r.expires > now {
		return r, slot
	}
	return nil, 0
}

// resetRow makes a row for a key that get did not find, over the expired one if that
// is still there.
func (t *rowTable) resetRow(k keyID) (*keyRow, uint32) {
	slot, ok := t.slots[k]
	if !ok {
		slot = t.takeSlot()
		t.slots[k] = slot
	}
	delete(t.extras, slot)
	r := t.rowAt(slot)
	*r = keyRow{id: k}
	return r, slot
}

func (t *rowTable) takeSlot() uint32 {
	if len(t.unused) == 0 {
		t.addChunk()
	}
	slot := t.unused[len(t.unused)-1]
	t.unused = t.unused[:len(t.unused)-1]
	return slot
}

func (t *rowTable) addChunk() {
	first := uint32(len(t.chunks) * chunkRows)
	t.chunks = append(t.chunks, new(rowChunk))
	t.earliest = append(t.earliest, math.MaxInt64)
	for i := uint32(chunkRows); i > 0; i-- {
		t.unused = append(t.unused, first+i-1)
	}
}

func (t *rowTable) setExpiry(r *keyRow, slot uint32, expires int64) {
	r.expires = expires
	first := &t.earliest[slot/chunkRows]
	*first = min(*first, expires)
}

func (t *rowTable) removeRow(slot uint32) {
	r := t.rowAt(slot)
	delete(t.slots, r.id)
	delete(t.extras, slot)
	*r = keyRow{}
	t.unused = append(t.unused, slot)
}

func (t *rowTable) extraOf(slot uint32) *rowExtra {
	e := t.extras[slot]
	if e == nil {
		e = &rowExtra{}
		t.extras[slot] = e
	}
	return e
}

// forgetLetter drops what is only needed until the dead letter is stored.
func (t *rowTable) forgetLetter(slot uint32) {
	e := t.extraOf(slot)
	e.reason, e.letter = "", ""
	if e.hash == nil && e.history == nil && e.note == "" {
		delete(t.extras, slot)
	}
}

// historyOf returns nil for nearly every row. The slice is never written to.
func (t *rowTable) historyOf(slot uint32) []dedupe.Attempt {
	if e := t.extras[slot]; e != nil {
		return e.history
	}
	return nil
}

// noteOf returns what is noted; mostly nothing.
func (t *rowTable) noteOf(slot uint32) string {
	if e := t.extras[slot]; e != nil {
		return e.note
	}
	return ""
}

// appendAttempt adds to a row's history; nil: nothing.
func (t *rowTable) appendAttempt(slot uint32, a *dedupe.Attempt) {
	if a != nil {
		e := t.extraOf(slot)
		e.history = dedupe.AppendAttempt(e.history, a)
	}
}

func (t *rowTable) hashOf(r *keyRow, slot uint32) []byte {
	switch r.hashLen {
	case 0:
		return nil
	case longHash:
		return t.extras[slot].hash
	}
	return r.hash[:r.hashLen]
}

// setHash copies h.
func (t *rowTable) setHash(r *keyRow, slot uint32, h []byte) {
	if len(h) > len(r.hash) {
		r.hashLen = longHash
		t.extraOf(slot).hash = append([]byte(nil), h...)
		return
	}
	r.hashLen = uint8(copy(r.hash[:], h))
}
