package outbox

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/onceish/onceish/bus"
	"github.com/onceish/onceish/internal/percent"
)

// RowID is what a row of an event is known by: what tells the event from others on the bus and to
// consumers, which is its logical topic, its source and its id. It is injective, begins with
// RowIDPrefix, and has at most 1,538 bytes.
func RowID(e *bus.Event) string {
	id := RowIDPrefix(e.ID) + escapePart(bus.LogicalTopic(e.Topic))
	if e.Source != "" && e.Source != bus.DefaultSource {
		id += " " + escapePart(e.Source)
	}
	return id
}

// RowIDPrefix begins the RowID of every event with this id, and of no other. It ends with a space:
// what is from it to below the same text with an exclamation mark in the place of that are these
// rows.
func RowIDPrefix(id string) string { return escapePart(id) + " " }

// maxPartLen bounds each part of a RowID: some servers index no more than 2,700 bytes. A longer one
// is hashed, which no escaped text looks like.
const maxPartLen = 512

func escapePart(part string) string {
	if part = percent.Encode(part, func(c byte) bool { return c != '%' && c != ' ' }); len(part) <= maxPartLen {
		return part
	}
	sum := sha256.Sum256([]byte(part))
	return "%sha256:" + hex.EncodeToString(sum[:])
}

// SameEvent reports whether two events are the same for a bus: of one topic, source and id, and
// with one payload. A second copy may have another time or trace.
func SameEvent(a, b *bus.Event) bool { return bus.MessageID(a) == bus.MessageID(b) }
