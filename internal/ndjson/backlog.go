package ndjson

import (
	"sync"

	"github.com/onceish/onceish/bus"
)

// What is read ahead, and published in one call, is bounded by both.
const (
	backlogEvents = 8_000
	backlogBytes  = 8 << 20
)

// lineBatch is events, and the lines that they were.
type lineBatch struct {
	events []bus.Event
	lines  []int
	bytes  int
}

func (b *lineBatch) addEvent(e bus.Event, line int) {
	b.events, b.lines = append(b.events, e), append(b.lines, line)
	b.bytes += len(e.Data)
}

func (b *lineBatch) hasRoom(e *bus.Event) bool {
	return len(b.events) == 0 || len(b.events) < backlogEvents && b.bytes+len(e.Data) <= backlogBytes
}

// lineBacklog is what was read and is not published yet. The reader waits while it is full, the
// publisher takes whatever there is: no timer, no latency when little comes.
type lineBacklog struct {
	mu     sync.Mutex
	change sync.Cond
	next   lineBatch
	closed bool
}

func newLineBacklog() *lineBacklog {
	b := &lineBacklog{}
	b.change.L = &b.mu
	return b
}

// putEvent blocks while the backlog is full. It is false once the backlog is closed.
func (b *lineBacklog) putEvent(e bus.Event, line int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && !b.next.hasRoom(&e) {
		b.change.Wait()
	}
	if b.closed {
		return false
	}
	b.next.addEvent(e, line)
	if len(b.next.events) == 1 {
		b.change.Broadcast()
	}
	return true
}

// takeAll blocks until there is something, and returns all of it; nothing once the backlog is
// closed and empty.
func (b *lineBacklog) takeAll() lineBatch {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.next.events) == 0 {
		b.change.Wait()
	}
	out := b.next
	n := len(out.events) // as much may be retried
	b.next = lineBatch{events: make([]bus.Event, 0, n), lines: make([]int, 0, n)}
	b.change.Broadcast()
	return out
}

// closePut ends the putting; what is there can still be taken.
func (b *lineBacklog) closePut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.change.Broadcast()
}
