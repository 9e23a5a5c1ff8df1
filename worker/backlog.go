package worker

import (
	"sync"

	"github.com/onceish/onceish/bus"
)

// What is read ahead, and published in one call, is bounded by both.
const (
	backlogEvents = 8_000
	backlogBytes  = 8 << 20
)

// numbered is an event, and the line that it was.
type numbered struct {
	event bus.Event
	line  int
}

// backlog is what was read and is not published yet. The reader waits while it is full, the publisher takes whatever there is: no
// timer, no latency when little comes.
type backlog struct {
	mu     sync.Mutex
	change sync.Cond
	events []numbered
	bytes  int
	closed bool
}

func newBacklog() *backlog {
	b := &backlog{}
	b.change.L = &b.mu
	return b
}

// put blocks while the backlog is full. It is false once the backlog is closed.
func (b *backlog) put(n numbered) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.events) > 0 && (len(b.events) >= backlogEvents || b.bytes+len(n.event.Data) > backlogBytes) {
		b.change.Wait()
	}
	if b.closed {
		return false
	}
	b.events = append(b.events, n)
	b.bytes += len(n.event.Data)
	b.change.Broadcast()
	return true
}

// take blocks until there is something, and returns all of it; nothing once the backlog is closed and empty.
func (b *backlog) take() []numbered {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && len(b.events) == 0 {
		b.change.Wait()
	}
	out := b.events
	b.events, b.bytes = nil, 0
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
