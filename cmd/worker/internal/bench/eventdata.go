package bench

import (
	"encoding/binary"
	"fmt"
	"time"
)

// minSize is what the data of an event needs: its number, and when it is due.
const minSize = 16

// eventStamp is what the data of an event says.
type eventStamp struct {
	// index is the number of the event, from 0; the warm-up comes first.
	index int
	// due is when it was to be published, in nanoseconds since 1970. 0: at no time.
	due int64
}

// newEventData returns data of an event: the stamp, and zeroes up to the size.
func newEventData(s eventStamp, size int) []byte {
	data := make([]byte, size)
	binary.BigEndian.PutUint64(data, uint64(s.index))
	binary.BigEndian.PutUint64(data[8:], uint64(s.due))
	return data
}

// parseEventData reads the stamp of one of so many events.
func parseEventData(data []byte, events int) (eventStamp, error) {
	if len(data) < minSize {
		return eventStamp{}, fmt.Errorf("an event has %d bytes of data, and none of the bench's has less than %d: does somebody else publish to its stream?", len(data), minSize)
	}
	index, due := binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])
	if index >= uint64(events) {
		return eventStamp{}, fmt.Errorf("an event has the number %d, and there are %d: does somebody else publish to the bench's stream?", index, events)
	}
	return eventStamp{index: int(index), due: int64(due)}, nil
}

// since is how long ago it was due.
func (s eventStamp) since(now time.Time) int64 { return now.UnixNano() - s.due }
