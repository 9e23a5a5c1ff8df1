package outbox

import "github.com/onceish/onceish/bus"

// rowOverhead is about what a row takes in memory beside what is its event's.
const rowOverhead = 256

// Size is about what a row takes in memory, in bytes. Pages and drainers are bounded by it.
func Size(e *bus.Event) int {
	n := rowOverhead + len(e.ID) + len(e.Topic) + len(e.Key) + len(e.Type) + len(e.Source) + len(e.ContentType) + len(e.Data)
	for name, values := range e.Headers {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
