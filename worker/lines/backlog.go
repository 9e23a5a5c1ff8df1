package lines

import (
	"sync"

	"github.com/onceish/onceish/bus"
)

// What is read ahead, and published in one call, is bounded by both.
const (
	backlogEvents = 8_000
	backlogBytes  = 8 << 20
)

// batch is events, and the lines that they were.
type batch struct {
	events []bus.Event
	lines  []int
	bytes  int
}

func (b *batch) add(e bus.Event, line int) {
	b.events, b.lines = append(b.events, e), append(b.lines, line)
	b.bytes += len(e.Data)
}

func (b *batch) fits(e *bus.Event) bool {
	return len(b.events) == 0 || len(b.events) < backlogEvents && b.bytes+len(e.Data) <= backlogBytes
}

// backlog is what was read and is not published yet. The reader waits while it is full, the
// publisher takes whatever there is: no timer, no latency when little comes.
type backlog struct {
	mu     sync.Mutex
	change sync.Cond
	next   batch
	closed bool
}

func newBacklog() *backlog {
	b := &backlog{}
	b.change.L = &b.mu
	return b
}

// put blocks while the backlog is full. It is false once the backlog is closed.
func (b *backlog) put(e bus.Event, line int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && !b.next.fits(&e) {
		b.change.Wait()
	}
	if b.closed {
		return false
	}
	b.next.add(e, line)
	if len(b.next.events) == 1 {
		b.change.Broadcast()
	}
	return true
}

// take blocks until there is something, and returns all of it; nothing once the backlog is
// closed and empty.
func (b *backlog) take() batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.next.events) == 0 {
		b.change.Wait()
	}
	out := b.next
	n := len(out.events) // as much may come again
	b.next = batch{events: make([]bus.Event, 0, n), lines: make([]int, 0, n)}
	b.change.Broadcast()
	return out
}

// close ends the putting; what is there can still be taken.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.change.Broadcast()
}
