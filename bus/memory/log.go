package memory

import (
	"sort"

	"github.com/onceish/onceish/bus"
)

// chunk is how many entries are allocated at once.
const chunk = 512

// entry is an event as it is stored.
type entry struct {
	event   bus.Event
	stored  int64 // in ns since 1970
	deleted bool
}

// log keeps entries by sequence. What was deleted leaves an empty entry behind until all before
// it is gone too.
type log struct {
	chunks []*[chunk]entry
	base   uint64 // sequence of the first entry of chunks[0]
	first  uint64 // oldest sequence that is there; next when there is none
	next   uint64 // sequence of the next entry
	live   int    // entries that were not deleted
	newest int64  // when the last entry was stored, also when it was deleted since
}

func newLog() *log { return &log{base: 1, first: 1, next: 1} }

// at returns the entry, which must lie between first and next.
func (l *log) at(seq uint64) *entry {
	i := seq - l.base
	return &l.chunks[i/chunk][i%chunk]
}

// has reports whether there is an event under the sequence.
func (l *log) has(seq uint64) bool {
	return seq >= l.first && seq < l.next && !l.at(seq).deleted
}

func (l *log) add(e bus.Event, stored int64) uint64 {
	if (l.next-l.base)%chunk == 0 {
		l.chunks = append(l.chunks, new([chunk]entry))
	}
	seq := l.next
	*l.at(seq) = entry{event: e, stored: stored}
	l.next++
	l.live++
	l.newest = stored
	return seq
}

// delete empties the entry, which must be there.
func (l *log) delete(seq uint64) {
	*l.at(seq) = entry{stored: l.at(seq).stored, deleted: true}
	l.live--
	for l.first < l.next && l.at(l.first).deleted {
		l.first++
	}
	for len(l.chunks) > 0 && l.first-l.base >= chunk {
		l.chunks[0] = nil
		l.chunks = l.chunks[1:]
		l.base += chunk
	}
}

// since returns the first sequence that was stored at or after the time. Like a server it searches
// as if times never stepped back; where they did, it may find a later one.
func (l *log) since(stored int64) uint64 {
	n := sort.Search(int(l.next-l.first), func(i int) bool { return l.at(l.first+uint64(i)).stored >= stored })
	return l.first + uint64(n)
}

// clone copies the entries; the events in them are shared, for they are never changed.
func (l *log) clone() *log {
	out := *l
	out.chunks = make([]*[chunk]entry, len(l.chunks))
	for i, c := range l.chunks {
		copied := *c
		out.chunks[i] = &copied
	}
	return &out
}
