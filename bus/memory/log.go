package memory

import (
	"sort"

	"github.com/onceish/onceish/bus"
)

// chunkSize is how many entries are allocated at once.
const chunkSize = 512

// logEntry is an event as it is stored.
type logEntry struct {
	event   bus.Event
	subject string // by which it is found
	stored  int64  // in ns since 1970
	deleted bool
}

// eventLog keeps entries by sequence. What was deleted leaves an empty entry behind until all
// before it is gone too.
type eventLog struct {
	chunks []*[chunkSize]logEntry
	base   uint64 // sequence of the first entry of chunks[0]
	first  uint64 // oldest sequence that is there; next when there is none
	next   uint64 // sequence of the next entry
	live   int    // entries that were not deleted
	newest int64  // when the last entry was stored, also when it was deleted since
}

func newEventLog() *eventLog { return &eventLog{base: 1, first: 1, next: 1} }

// entryAt returns the entry, which must lie between first and next.
func (l *eventLog) entryAt(seq uint64) *logEntry {
	i := seq - l.base
	return &l.chunks[i/chunkSize][i%chunkSize]
}

// hasEvent reports whether there is an event under the sequence.
func (l *eventLog) hasEvent(seq uint64) bool {
	return seq >= l.first && seq < l.next && !l.entryAt(seq).deleted
}

func (l *eventLog) appendEvent(e bus.Event, stored int64) uint64 {
	if (l.next-l.base)%chunkSize == 0 {
		l.chunks = append(l.chunks, new([chunkSize]logEntry))
	}
	seq := l.next
	*l.entryAt(seq) = logEntry{event: e, subject: bus.SubjectOf(e.Topic), stored: stored}
	l.next++
	l.live++
	l.newest = stored
	return seq
}

// deleteEntry empties the entry, which must be there.
func (l *eventLog) deleteEntry(seq uint64) {
	*l.entryAt(seq) = logEntry{stored: l.entryAt(seq).stored, deleted: true}
	l.live--
	for l.first < l.next && l.entryAt(l.first).deleted {
		l.first++
	}
	for len(l.chunks) > 0 && l.first-l.base >= chunkSize {
		l.chunks[0] = nil
		l.chunks = l.chunks[1:]
		l.base += chunkSize
	}
}

// firstSince returns the first sequence that was stored at or after the time. Like a server it
// searches as if times never stepped back; where they did, it may find a later one.
func (l *eventLog) firstSince(stored int64) uint64 {
	n := sort.Search(int(l.next-l.first), func(i int) bool { return l.entryAt(l.first+uint64(i)).stored >= stored })
	return l.first + uint64(n)
}

// cloneEntries copies the entries; the events in them are shared, for they are never changed.
func (l *eventLog) cloneEntries() *eventLog {
	out := *l
	out.chunks = make([]*[chunkSize]logEntry, len(l.chunks))
	for i, c := range l.chunks {
		copied := *c
		out.chunks[i] = &copied
	}
	return &out
}
