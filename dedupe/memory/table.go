package memory

import (
	"math"

	"github.com/onceish/onceish/dedupe"
)

// row is what is kept of a key. It holds no pointers, so that the garbage collector passes a
// million of them by.
type row struct {
	id      id
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

// extra is what few rows have.
type extra struct {
	hash           []byte
	reason, letter string
}

const chunkRows = 256

// chunk holds rows that were mostly inserted, and so mostly expire, at about the same time. It
// fills one of the runtime's size classes exactly.
type chunk [chunkRows]row

// table keeps rows by id. Slots of what has expired are used again; memory is not given back.
type table struct {
	slots  map[id]uint32
	chunks []*chunk
	// earliest is at or before the first expiry in each chunk.
	earliest []int64
	unused   []uint32
	extras   map[uint32]*extra
	hand     int // the chunk that is swept next
}

func newTable() table {
	return table{slots: make(map[id]uint32), extras: make(map[uint32]*extra)}
}

func (t *table) len() int { return len(t.slots) }

func (t *table) at(slot uint32) *row { return &t.chunks[slot/chunkRows][slot%chunkRows] }

// get is nil where the key is absent or expired.
func (t *table) get(k id, now int64) (*row, uint32) {
	slot, ok := t.slots[k]
	if !ok {
		return nil, 0
	}
	if r := t.at(slot); r.expires > now {
		return r, slot
	}
	return nil, 0
}

// reset makes a row for a key that get did not find, over the expired one if that is still there.
func (t *table) reset(k id) (*row, uint32) {
	slot, ok := t.slots[k]
	if !ok {
		slot = t.take()
		t.slots[k] = slot
	}
	delete(t.extras, slot)
	r := t.at(slot)
	*r = row{id: k}
	return r, slot
}

func (t *table) take() uint32 {
	if len(t.unused) == 0 {
		t.grow()
	}
	slot := t.unused[len(t.unused)-1]
	t.unused = t.unused[:len(t.unused)-1]
	return slot
}

func (t *table) grow() {
	first := uint32(len(t.chunks) * chunkRows)
	t.chunks = append(t.chunks, new(chunk))
	t.earliest = append(t.earliest, math.MaxInt64)
	for i := uint32(chunkRows); i > 0; i-- {
		t.unused = append(t.unused, first+i-1)
	}
}

// keep sets a row's expiry.
func (t *table) keep(r *row, slot uint32, expires int64) {
	r.expires = expires
	first := &t.earliest[slot/chunkRows]
	*first = min(*first, expires)
}

func (t *table) remove(slot uint32) {
	r := t.at(slot)
	delete(t.slots, r.id)
	delete(t.extras, slot)
	*r = row{}
	t.unused = append(t.unused, slot)
}

func (t *table) extra(slot uint32) *extra {
	e := t.extras[slot]
	if e == nil {
		e = &extra{}
		t.extras[slot] = e
	}
	return e
}

func (t *table) hashOf(r *row, slot uint32) []byte {
	switch r.hashLen {
	case 0:
		return nil
	case longHash:
		return t.extras[slot].hash
	}
	return r.hash[:r.hashLen]
}

// setHash copies h.
func (t *table) setHash(r *row, slot uint32, h []byte) {
	if len(h) > len(r.hash) {
		r.hashLen = longHash
		t.extra(slot).hash = append([]byte(nil), h...)
		return
	}
	r.hashLen = uint8(copy(r.hash[:], h))
}
